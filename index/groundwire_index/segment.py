"""A segment: the vectors of one file and what is known of each.

A slot is the number of a vector in its segment. ``died`` holds the number of the write that
ended its row, so one array serves readers of every sequence number: the writer only ever
changes an entry from "alive" to a write that they do not see yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundwire_index.storage.segment_file import SegmentFile, StoredMatrix

ALIVE = np.iinfo(np.int64).max
NEVER = 0
_FIRST_ROOM = 64


@dataclass(frozen=True, slots=True, eq=False)
class SegmentView:
    """A segment as of one sequence number; it never changes for who holds it."""

    number: int
    vectors: StoredMatrix
    """Shape (slots, dimension), mapped from the file."""
    norms: NDArray[np.float32]
    """Euclidean length of each vector."""
    rows: NDArray[np.int64]
    """Row of each vector, ascending."""
    live: NDArray[np.bool_]
    """Whether each vector counts."""
    alive: int
    """How many do."""
    consecutive: bool
    """Whether each row is the one before it and 1, as where vectors were only ever added."""

    def slots_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Slots of those of ``rows`` (ascending) whose vectors are here and count."""
        slots = self._shifted(rows) if self.consecutive else self._sought(rows)
        return slots if self.alive == len(self.rows) else slots[self.live[slots]]

    def _shifted(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        first = self.rows[0]
        inside = slice(*np.searchsorted(rows, (first, first + len(self.rows))))
        slots: NDArray[np.int64] = rows[inside] - first
        return slots

    def _sought(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        slots = np.searchsorted(self.rows, rows)
        inside = slots < len(self.rows)
        slots, wanted = slots[inside], rows[inside]
        found: NDArray[np.int64] = slots[self.rows[slots] == wanted].astype(np.int64, copy=False)
        return found


class Segment:
    """The writer's side of a segment. Used by one thread at a time; views are for all."""

    def __init__(self, number: int, file: SegmentFile) -> None:
        self.number = number
        self.file = file
        self.slots = 0
        self._vectors: StoredMatrix | None = None
        self._norms = np.ones(_FIRST_ROOM, np.float32)
        self._rows = np.zeros(_FIRST_ROOM, np.int64)
        self._died = np.full(_FIRST_ROOM, NEVER, np.int64)
        self._view: SegmentView | None = None

    def grow(self, slots: int) -> None:
        """Have ``slots`` slots; what no `fill` names never counts."""
        if slots > len(self._rows):
            room = max(slots, 2 * len(self._rows))
            self._norms = _extended(self._norms, room, 1)
            self._rows = _extended(self._rows, room, 0)
            self._died = _extended(self._died, room, NEVER)
        self.slots = slots
        self._view = None
        if self._vectors is None or len(self._vectors) < slots:
            self._vectors = self.file.map()

    def fill(
        self, slots: NDArray[np.int64], rows: NDArray[np.int64], norms: NDArray[np.float32]
    ) -> None:
        """Say whose vectors are at ``slots`` (ascending, as ``rows`` are), after `grow`."""
        self._rows[slots] = rows
        self._norms[slots] = norms
        self._died[slots] = ALIVE
        # Rows stay ascending over slots that none has.
        np.maximum.accumulate(self._rows[: self.slots], out=self._rows[: self.slots])

    def end(self, slot: int, sequence: int) -> None:
        """A vector does not count any more from ``sequence`` on."""
        self._died[slot] = sequence
        self._view = None

    def view(self, sequence: int) -> SegmentView:
        """The segment as of ``sequence``, the last write; the same one until it changes."""
        if self._view is None:
            self._view = self._viewed(sequence)
        return self._view

    def _viewed(self, sequence: int) -> SegmentView:
        slots = self.slots
        vectors = self._vectors
        if vectors is None:
            vectors = self._vectors = self.file.map()
        live, rows = self._died[:slots] > sequence, self._rows[:slots]
        return SegmentView(
            number=self.number,
            vectors=vectors[:slots],
            norms=self._norms[:slots],
            rows=rows,
            live=live,
            alive=int(np.count_nonzero(live)),
            consecutive=bool(slots and (np.diff(rows) == 1).all()),
        )


def _extended(array: NDArray, room: int, filler: int) -> NDArray:  # type: ignore[type-arg]
    extended = np.full(room, filler, array.dtype)
    extended[: len(array)] = array
    return extended
