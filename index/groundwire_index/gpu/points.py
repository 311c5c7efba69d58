"""Vectors that a GPU compares with every query, and which of its answers are certain.

A GPU multiplies with less precision than the CPU (TF32 has 10 bits), so it may put the last of
the best behind others. It is asked for more than are wanted: where the last of those is farther
off than rounding explains, the best are surely among them. Else the CPU compares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from groundwire_index.ann import Asked, Bitmap
from groundwire_index.ann.geometry import Geometry
from groundwire_index.gpu.ann import Searcher
from groundwire_index.gpu.device import DeviceError, Found
from groundwire_index.gpu.fallbacks import Fallbacks
from groundwire_index.records import Metric
from groundwire_index.storage.segment_file import Matrix

Slots = NDArray[np.int64]

# Asked for beyond the depth, so that the last lies clearly behind; and at most so many.
_BEYOND, _FACTOR, _MOST = 60, 4, 2048
# Fewer are compared by the CPU in less time.
_FEW = 4096
# Twice what two distances can be apart that are equal: each is wrong by 2^-10 of its products.
_ROUNDING = 2.0**-8


class HeldPoints:
    """The first vectors of a segment, on a GPU. Any thread may ask."""

    def __init__(
        self, geometry: Geometry, count: int, longest: float, copy: Searcher, fallbacks: Fallbacks
    ) -> None:
        self.count = count
        """How many are held."""
        self._geometry = geometry
        self._longest = longest
        self._copy = copy
        self._fallbacks = fallbacks
        self._last: tuple[object, Bitmap] | None = None

    def nearest(
        self, queries: Matrix, depths: Sequence[int], counted: NDArray[np.bool_]
    ) -> list[Slots | None]:
        """For each query, slots that surely hold the best of those that count, to its depth.

        None where that is not sure. ``counted`` says of each that is held whether it counts.
        """
        number = int(np.count_nonzero(counted))
        wanted = min(_FACTOR * max(depths) + _BEYOND, number)
        if number < _FEW or wanted > _MOST:
            return [None] * len(queries)
        allowed = None if number == self.count else self._bitmap(counted)
        try:
            found = self._copy.search(Asked(self._geometry.points(queries), wanted, 0), allowed)
        except DeviceError as error:
            self._fallbacks.tell(error)
            return [None] * len(queries)
        sure = self._sure(found, queries, depths, counted)
        return [
            row if certain else None for row, certain in zip(found.positions, sure, strict=True)
        ]

    def _sure(
        self,
        found: Found,
        queries: Matrix,
        depths: Sequence[int],
        counted: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        positions = found.positions
        named = (positions >= 0) & (positions < self.count)
        named &= counted[np.where(named, positions, 0)]
        ordered = np.sort(positions, axis=1)
        sound = named.all(axis=1) & (ordered[:, 1:] != ordered[:, :-1]).all(axis=1)
        last_wanted = found.distances[np.arange(len(queries)), np.array(depths) - 1]
        apart = np.abs(found.distances[:, -1].astype(np.float64) - last_wanted)
        sure: NDArray[np.bool_] = sound & (apart > _ROUNDING * self._scale(queries))
        return sure

    def _scale(self, queries: Matrix) -> NDArray[np.float64]:
        """The largest product that a distance is made of."""
        lengths: NDArray[np.float64] = np.linalg.norm(queries.astype(np.float64), axis=1)
        if self._geometry.metric is Metric.COSINE:
            return np.full(len(queries), 2.0)
        if self._geometry.metric is Metric.DOT:
            return lengths * self._longest
        return np.square(lengths + self._longest)

    def _bitmap(self, counted: NDArray[np.bool_]) -> Bitmap:
        """The same one for slices of the same array, so that searches can be joined."""
        whole = counted if counted.base is None else counted.base
        last = self._last
        if last is None or last[0] is not whole:
            last = self._last = (whole, np.packbits(counted, bitorder="little"))
        return last[1]
