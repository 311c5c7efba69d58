"""The vectors of all segments under one numbering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundwire_index.gpu.points import HeldPoints
from groundwire_index.segment import SegmentView
from groundwire_index.storage.segment_file import Matrix

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Segments as of one sequence number.

    A place is the number of a slot counted over all of them, from 0.
    """

    segments: tuple[SegmentView, ...]
    starts: Places
    """First place of each segment, and after the last of them the number of places."""
    held: Mapping[int, HeldPoints]
    """What of the segments lies on GPUs, by the numbers of the segments."""

    @classmethod
    def of(
        cls, segments: tuple[SegmentView, ...], held: Mapping[int, HeldPoints] | None = None
    ) -> Space:
        """The space of these segments, in this order."""
        sizes = [len(segment.rows) for segment in segments]
        return cls(segments, np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))), held or {})

    def __len__(self) -> int:
        """How many places there are."""
        return int(self.starts[-1])

    @property
    def live(self) -> int:
        """How many vectors count."""
        return sum(segment.alive for segment in self.segments)

    def rows(self, places: Places) -> NDArray[np.int64]:
        """The row of each place."""
        rows = np.empty(len(places), np.int64)
        for segment, mine, slots in self._by_segment(places):
            rows[mine] = segment.rows[slots]
        return rows

    def vectors(self, places: Places) -> Matrix:
        """The vector at each place, shape (places, dimension), copied."""
        dimension = self.segments[0].vectors.shape[1] if self.segments else 0
        vectors = np.empty((len(places), dimension), np.float32)
        for segment, mine, slots in self._by_segment(places):
            vectors[mine] = segment.vectors[slots]
        return vectors

    def _by_segment(
        self, places: Places
    ) -> Iterator[tuple[SegmentView, NDArray[np.bool_] | slice, Places]]:
        """For each segment that is touched: which of the places are its own, and their slots."""
        if len(self.segments) == 1:
            yield self.segments[0], slice(None), places
            return
        owners = np.searchsorted(self.starts, places, side="right") - 1
        for number in np.flatnonzero(np.bincount(owners, minlength=len(self.segments))):
            mine = owners == number
            yield self.segments[number], mine, places[mine] - self.starts[number]
