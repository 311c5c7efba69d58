"""All segments of a collection, as the writer keeps them."""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundwire_index.errors import DataLossError
from groundwire_index.files import Files
from groundwire_index.half import widened
from groundwire_index.segment import NEVER, Segment, SegmentView
from groundwire_index.storage.segment_file import StoredMatrix

# What is read and computed in one piece, in numbers: it stays in the processor's cache.
_PIECE = 2**17

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Vectors that one write puts side by side into one segment."""

    segment: int
    first: int
    """Slot of the first."""
    vectors: StoredMatrix
    norms: NDArray[np.float32]
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """Vectors that are found in another segment from now on."""

    part: Part
    """Where they are."""
    sources: Sequence[tuple[int, int]]
    """Segment and slot where each was before."""
    died: Sequence[int | None]
    """The write that ended each row; None of those that live, 0 of those that are gone."""


class Segments:
    """The segments and what is wrong with them. Used by one thread at a time."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._segments: dict[int, Segment] = {}
        self.damage: DataLossError | None = None
        """The first vectors that failed their checksum, if any did."""

    @classmethod
    def load(cls, connection: sqlite3.Connection, files: Files) -> Segments:
        """Map the files, check every vector that counts, and leave out those that fail."""
        segments = cls(files)
        manifest = connection.execute(
            "SELECT number, slots, checksum FROM segments ORDER BY number"
        ).fetchall()
        files.sweep({number: slots for number, slots, _ in manifest})
        for number, slots, expected in manifest:
            segments._load(connection, number, slots, expected)
        return segments

    def add(self, part: Part) -> None:
        """Take in vectors that are on stable storage."""
        segment = self._segments.get(part.segment)
        if segment is None:
            segment = Segment(part.segment, self._files.segment(part.segment))
            self._segments[part.segment] = segment
        end = part.first + len(part.rows)
        segment.grow(end)
        segment.fill(np.arange(part.first, end), part.rows, part.norms)

    def end(self, number: int, slot: int, sequence: int) -> None:
        """A vector does not count any more from ``sequence`` on."""
        self._segments[number].end(slot, sequence)

    def move(self, moved: Moved) -> None:
        """Take in vectors that were copied from other segments."""
        self.add(moved.part)
        target = self._segments[moved.part.segment]
        for slot, ((segment, source), died) in enumerate(
            zip(moved.sources, moved.died, strict=True), start=moved.part.first
        ):
            self._segments[segment].end(source, NEVER)
            if died is not None:
                target.end(slot, died)

    def drop(self, number: int) -> None:
        """A segment is not there any more."""
        self._segments.pop(number, None)

    def views(self, sequence: int) -> tuple[SegmentView, ...]:
        """All segments as of ``sequence``, the last write."""
        return tuple(segment.view(sequence) for segment in self._segments.values())

    def _load(
        self, connection: sqlite3.Connection, number: int, slots: int, expected: int | None
    ) -> None:
        file = self._files.segment(number)
        vectors = file.map()
        held = _held(connection, number)
        if len(vectors) >= slots and checksum(vectors[:slots].data) == expected:
            sound = np.ones(len(held), np.bool_)
        else:
            sound = _sound(vectors, held)
        if not sound.all():
            self._report(file.path, int(held[~sound][0, 0]), int(np.count_nonzero(~sound)))
        segment = Segment(number, file)
        segment.grow(min(slots, len(vectors)))
        segment.fill(held[sound, 0], held[sound, 1], _norms(vectors, held[sound, 0]))
        self._segments[number] = segment

    def _report(self, path: Path, slot: int, count: int) -> None:
        error = DataLossError(
            f"{path} is damaged: {count:,} of its vectors fail their checksum, the first at "
            f"byte {self._files.vector_bytes * slot:,}. Searches leave them out and writes are "
            "refused: restore the collection from a copy, or delete it and fill it again",
            reason="VECTORS_DAMAGED",
            metadata={"file": str(path)},
        )
        _log.error("%s", error)
        self.damage = self.damage or error


def checksum(vectors: bytes | memoryview, before: int = 0) -> int:
    """CRC-32 of the bytes of vectors, after others whose checksum is ``before``."""
    return zlib.crc32(vectors, before)


def norms_of(vectors: StoredMatrix) -> NDArray[np.float64]:
    """Euclidean lengths, summed in double precision."""
    exact = widened(vectors).astype(np.float64)
    norms: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", exact, exact))
    return norms


def _held(connection: sqlite3.Connection, segment: int) -> NDArray[np.int64]:
    """Slot, row and checksum of the vectors that count, shape (vectors, 3), by slot."""
    # Joined into three values they are read several times faster than one by one.
    columns = connection.execute(
        "SELECT group_concat(slot), group_concat(row), group_concat(checksum) FROM "
        "(SELECT slot, row, checksum FROM rows WHERE segment = ? AND died IS NULL ORDER BY slot)",
        (segment,),
    ).fetchone()
    return np.stack([np.fromstring(one or "", np.int64, sep=",") for one in columns], axis=1)


def _sound(vectors: StoredMatrix, held: NDArray[np.int64]) -> NDArray[np.bool_]:
    present = len(vectors)
    return np.fromiter(
        (
            slot < present and checksum(vectors[slot].data) == expected
            for slot, expected in held[:, (0, 2)].tolist()
        ),
        np.bool_,
        len(held),
    )


def _norms(vectors: StoredMatrix, slots: NDArray[np.int64]) -> NDArray[np.float32]:
    step = max(1, _PIECE // max(1, vectors.shape[1]))
    norms = np.empty(len(slots), np.float32)
    for start in range(0, len(slots), step):
        norms[start : start + step] = norms_of(vectors[slots[start : start + step]])
    return norms
