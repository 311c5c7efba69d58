"""Which segments of a collection lie on GPUs, to be compared there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from groundwire_index.ann.geometry import Points
from groundwire_index.gpu.gpus import Gpus
from groundwire_index.gpu.points import HeldPoints
from groundwire_index.half import widened
from groundwire_index.records import Metric
from groundwire_index.segment import SegmentView
from groundwire_index.storage.segment_file import Matrix, StoredMatrix

# A segment is copied when it has so many vectors, and again when it has twice as many.
_LEAST = 8192
_GROWTH = 2


class SegmentCopies:
    """The copies of one collection. Used by one thread at a time; what it gives is for all."""

    def __init__(self, gpus: Gpus, metric: Metric, *, wanted: bool) -> None:
        self.wanted = wanted
        """Whether the vectors are to be on GPUs at all."""
        self._gpus = gpus
        self._metric = metric
        self._held: dict[int, HeldPoints] = {}

    def over(self, segments: Sequence[SegmentView]) -> Mapping[int, HeldPoints]:
        """What is held of some segments, by their numbers. What else was held is let go."""
        held = {}
        for segment in segments if self.wanted else ():
            points = self._held.get(segment.number) or self._copied(segment, 0)
            if points is not None:
                held[segment.number] = self._copied(segment, points.count) or points
        self._held = held
        return held

    def _copied(self, segment: SegmentView, before: int) -> HeldPoints | None:
        count = len(segment.rows)
        if count < max(_LEAST, _GROWTH * before):
            return None
        longest = float(segment.norms[:count].max(initial=0))
        return self._gpus.held(Points(_Slots(segment.vectors), self._metric), longest)


class _Slots:
    """The vectors of a segment, as `ann.Vectors`."""

    def __init__(self, vectors: StoredMatrix) -> None:
        self._vectors = vectors
        self.count, self.dimension = vectors.shape

    def read(self, start: int, stop: int) -> Matrix:
        """See `ann.Vectors`."""
        # Slots that do not count may hold anything.
        return np.nan_to_num(widened(self._vectors[start:stop]))
