"""Vectors as FAISS compares them: which distance, over how many dimensions.

Vectors of length 1 are as near in Euclidean distance as their cosine is high. Inner products
stay as they are: the known reduction to a distance by one more dimension (Bachrach et al.,
2014) puts all vectors so far from any query that a graph finds a quarter of the nearest where
lengths vary, and over raw products nearly all. Zeros fill up to a width that FAISS computes
with its widest instructions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from groundwire_index.ann.library import faiss
from groundwire_index.ann.protocol import Vectors
from groundwire_index.records import Metric
from groundwire_index.storage.segment_file import Matrix

_LANES = 16
_PIECE = 4096
_SEED = 20140
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Geometry:
    """How vectors of ``dimension`` are compared by ``metric``."""

    metric: Metric
    dimension: int

    @property
    def width(self) -> int:
        """Dimensions of the points."""
        return -(-self.dimension // _LANES) * _LANES

    @property
    def distance(self) -> int:
        """FAISS's name of the metric between points."""
        library = faiss()
        dot = self.metric is Metric.DOT
        return int(library.METRIC_INNER_PRODUCT if dot else library.METRIC_L2)

    def points(self, vectors: Matrix) -> Matrix:
        """Vectors or queries as points."""
        if self.metric is Metric.COSINE:
            exact = vectors.astype(np.float64)
            lengths = np.sqrt(np.vecdot(exact, exact))
            vectors = (exact / np.maximum(lengths, _TINY)[:, None]).astype(np.float32)
        if self.dimension == self.width:
            return np.ascontiguousarray(vectors, np.float32)
        points = np.zeros((len(vectors), self.width), np.float32)
        points[:, : self.dimension] = vectors
        return points


class Points:
    """Vectors as points of their geometry, read piece by piece."""

    def __init__(self, vectors: Vectors, metric: Metric) -> None:
        self.geometry = Geometry(metric, vectors.dimension)
        self.count = vectors.count
        self._vectors = vectors

    def pieces(self, rows: int) -> Iterator[Matrix]:
        """All points in order, so many at a time."""
        for start in range(0, self.count, rows):
            yield self._read(start, min(start + rows, self.count))

    def sample(self, size: int) -> Matrix:
        """At most ``size`` points from everywhere, the same ones each time, in order."""
        rng = np.random.default_rng(_SEED)
        chosen = np.sort(rng.permutation(self.count)[:size])
        sample = np.empty((len(chosen), self.geometry.width), np.float32)
        ends = np.searchsorted(chosen, np.arange(0, self.count + _PIECE, _PIECE))
        for number, (first, last) in enumerate(pairwise(ends)):
            if first < last:
                start = number * _PIECE
                piece = self._vectors.read(start, min(start + _PIECE, self.count))
                picked = piece[chosen[first:last] - start]
                sample[first:last] = self.geometry.points(picked)
        return sample

    def _read(self, start: int, stop: int) -> Matrix:
        return self.geometry.points(self._vectors.read(start, stop))
