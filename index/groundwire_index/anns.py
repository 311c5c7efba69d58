"""The approximate indexes of a collection: their manifest, their files, and what they propose."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from groundwire_index.ann import FAMILIES, Ann, Tuning
from groundwire_index.coverage import AnnEntry, Span
from groundwire_index.errors import DataLossError, GroundwireError
from groundwire_index.gpu import Gpus
from groundwire_index.records import Metric
from groundwire_index.segment import SegmentView
from groundwire_index.space import Places, Space
from groundwire_index.storage.folders import sync_folder
from groundwire_index.storage.schema import ANNS
from groundwire_index.storage.segment_file import Matrix

_PIECE = 2**22

_Test: TypeAlias = "Callable[[SegmentView, Span], NDArray[np.bool_]]"

_log = logging.getLogger(__name__)


def read_entries(connection: sqlite3.Connection) -> tuple[AnnEntry, ...]:
    """The committed manifest, in order of number."""
    rows = connection.execute(
        "SELECT number, kind, spans, parameters, bytes, checksum FROM anns ORDER BY number"
    )
    return tuple(
        AnnEntry(
            number, kind, tuple(Span(*span) for span in json.loads(spans)),
            json.loads(parameters), size, checksum,
        )
        for number, kind, spans, parameters, size, checksum in rows
    )  # fmt: skip


def drop_entries(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Take indexes out of the manifest, with the connection's transaction."""
    connection.executemany("DELETE FROM anns WHERE number = ?", [(one,) for one in numbers])


def write_entry(connection: sqlite3.Connection, entry: AnnEntry) -> None:
    """Put an index into the manifest, with the connection's transaction."""
    spans = [list(asdict(span).values()) for span in entry.spans]
    connection.execute(
        "INSERT INTO anns (number, kind, spans, parameters, bytes, checksum) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            entry.number,
            entry.kind,
            json.dumps(spans),
            json.dumps(dict(entry.parameters)),
            entry.bytes,
            entry.checksum,
        ),
    )


@dataclass(frozen=True, slots=True)
class AnnFiles:
    """Where the indexes of a collection are. They can all be built again."""

    folder: Path

    def path(self, number: int) -> Path:
        """The file of one index."""
        return self.folder / ANNS / f"{number}.faiss"

    def unfinished(self, number: int) -> Path:
        """Where it is built."""
        return self.folder / ANNS / f"{number}.new"

    def keep(self, number: int) -> tuple[int, int]:
        """Put a built file in its place, on stable storage; its bytes and its checksum."""
        building = self.unfinished(number)
        with building.open("rb+") as file:
            os.fsync(file.fileno())
        measured = measure(building)
        building.replace(self.path(number))
        sync_folder(building.parent)
        return measured

    def discard(self, number: int) -> None:
        """Remove a file that did not come into use, if the disk lets it go."""
        for path in (self.unfinished(number), self.path(number)):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def sweep(self, entries: Iterable[AnnEntry]) -> None:
        """Remove the files that the manifest does not name."""
        known = {self.path(entry.number) for entry in entries}
        for path in (self.folder / ANNS).iterdir():
            if path not in known:
                path.unlink(missing_ok=True)


def measure(path: Path) -> tuple[int, int]:
    """Bytes of a file, and their CRC-32."""
    size = crc = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            size += len(piece)
            crc = zlib.crc32(piece, crc)
    return size, crc


class Anns:
    """The open indexes. Used by one thread at a time; views are for all."""

    def __init__(self, files: AnnFiles, metric: Metric, dimension: int, gpus: Gpus) -> None:
        self._files = files
        self._gpus = gpus
        self._metric = metric
        self._dimension = dimension
        self._open: dict[int, tuple[AnnEntry, Ann]] = {}

    def load(self, entries: Sequence[AnnEntry]) -> list[int]:
        """Open what is new and let go of what is gone; the numbers of what cannot be opened.

        That is left out: its vectors are compared one by one until they are indexed again.
        """
        found = {}
        for entry in entries:
            known = self._open.get(entry.number)
            opened = known or self._opened(entry)
            if opened is not None:
                found[entry.number] = opened
        self._open = found
        self._files.sweep(entries)
        return [entry.number for entry in entries if entry.number not in found]

    def views(self, space: Space) -> tuple[AnnView, ...]:
        """All indexes over the vectors as of one sequence number."""
        return tuple(AnnView(entry, ann, space) for entry, ann in self._open.values())

    def _opened(self, entry: AnnEntry) -> tuple[AnnEntry, Ann] | None:
        path = self._files.path(entry.number)
        try:
            if measure(path) != (entry.bytes, entry.checksum):
                raise DataLossError(f"{path} fails its checksum")
            family = FAMILIES[entry.kind]
            ann = family.open(path, self._metric, self._dimension)
            return entry, self._gpus.accelerated(ann)
        except (GroundwireError, OSError, KeyError) as error:
            _log.warning(
                "index file %s cannot be used (%s): searches compare its %s vectors one by one "
                "until it has been built again",
                path,
                error,
                f"{entry.size:,}",
            )
            return None


class AnnView:
    """An index over the vectors as of one sequence number. Any thread may use it."""

    def __init__(self, entry: AnnEntry, ann: Ann, space: Space) -> None:
        self.entry = entry
        self._ann = ann
        segments = {segment.number: at for at, segment in enumerate(space.segments)}
        self._parts = [
            (space.segments[segments[span.segment]] if span.segment in segments else None, span)
            for span in entry.spans
        ]
        sizes = np.array([len(span) for span in entry.spans], np.int64)
        self._firsts = np.cumsum(sizes) - sizes
        first_places = [
            space.starts[segments[span.segment]] + span.start if span.segment in segments else 0
            for span in entry.spans
        ]
        self._shifts = np.array(first_places, np.int64) - self._firsts
        self._live: NDArray[np.uint8] | None = None

    def propose(
        self, queries: Matrix, depth: int, passing: NDArray[np.bool_] | None, tuning: Tuning
    ) -> list[Places]:
        """For each of ``queries`` (count, dimension), places that probably hold the best.

        With ``passing``, which says of each row number whether it may be found, no others.
        """
        found = self._ann.search(queries, depth, self._allowed(passing), tuning)
        places = found + self._shifts[self._firsts.searchsorted(found, side="right") - 1]
        missing = found < 0
        if not missing.any():
            return list(places)
        return [row[~out] for row, out in zip(places, missing, strict=True)]

    def _allowed(self, passing: NDArray[np.bool_] | None) -> NDArray[np.uint8] | None:
        """As a bitmap over the index's own numbers; None if all are."""
        if passing is None:
            if all(part is not None and part.alive == len(part.rows) for part, _ in self._parts):
                return None
            if self._live is None:
                self._live = self._bitmap(_alive)
            return self._live

        def passes(part: SegmentView, span: Span) -> NDArray[np.bool_]:
            rows: NDArray[np.bool_] = passing[part.rows[span.start : span.stop]]
            return rows & _alive(part, span)

        return self._bitmap(passes)

    def _bitmap(self, test: _Test) -> NDArray[np.uint8]:
        bits = [
            np.zeros(len(span), np.bool_) if part is None else test(part, span)
            for part, span in self._parts
        ]
        return np.packbits(np.concatenate(bits), bitorder="little")


def _alive(part: SegmentView, span: Span) -> NDArray[np.bool_]:
    return part.live[span.start : span.stop]
