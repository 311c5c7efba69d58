"""The vectors of all segments under one numbering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from groundwire_index.gpu.points import HeldPoints
from groundwire_index.half import widened
from groundwire_index.segment import SegmentView

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

    def read(self, places: Places) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The rows of some places, ascending, and their vectors, shape (places, dimension).

        Copied, in the order of their files, and as exact scores need them.
        """
        rows = np.empty(len(places), np.int64)
        dimension = self.segments[0].vectors.shape[1]
        vectors = np.empty((len(places), dimension))
        bounds = places.searchsorted(self.starts).tolist()
        for segment, offset, (first, last) in zip(
            self.segments, self.starts[:-1].tolist(), pairwise(bounds), strict=True
        ):
            if first < last:
                slots = places[first:last] - offset
                # In half the time of an index in brackets.
                rows[first:last] = segment.rows.take(slots)
                vectors[first:last] = widened(segment.vectors.take(slots, axis=0))
        return rows, vectors
