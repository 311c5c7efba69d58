"""Exact scores of a few places, in double precision, and their order.

Each pair is compared by itself, so equal vectors get equal scores, and the order depends
neither on how the shortlist was found nor on what else is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundwire_index.records import Metric
from groundwire_index.space import Places, Space
from groundwire_index.storage.segment_file import Matrix

# Largest piece of vectors, in numbers: it stays in the processor's cache.
_PIECE = 2**16


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The best rows for one query, best first; equals of the last one are all there."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]


_NONE = Nearest(np.empty(0, np.int64), np.empty(0))


def rescored(
    space: Space,
    shortlists: Sequence[Places],
    queries: Matrix,
    metric: Metric,
    depths: Sequence[int],
) -> list[Nearest]:
    """The best of each query's shortlist, to its depth, and ties."""
    return [
        _cut(*_exact(space, places, query.astype(np.float64), metric), depth)
        if len(places)
        else _NONE
        for places, query, depth in zip(shortlists, queries, depths, strict=True)
    ]


def _cut(rows: NDArray[np.int64], scores: NDArray[np.float64], depth: int) -> Nearest:
    order = np.lexsort((rows, -scores))
    rows, scores = rows[order], scores[order]
    if len(scores) > depth:
        last = int(np.searchsorted(-scores, -scores[depth - 1], side="right"))
        rows, scores = rows[:last], scores[:last]
    return Nearest(rows, scores)


def _exact(
    space: Space, places: Places, query: NDArray[np.float64], metric: Metric
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The rows of the places, and their scores."""
    step = max(1, _PIECE // len(query))
    if len(places) <= step:
        return _scored(space, places, query, metric)
    pieces = [
        _scored(space, places[start : start + step], query, metric)
        for start in range(0, len(places), step)
    ]
    rows, scores = zip(*pieces, strict=True)
    return np.concatenate(rows), np.concatenate(scores)


def _scored(
    space: Space, places: Places, query: NDArray[np.float64], metric: Metric
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rows, read = space.read(places)
    vectors = read.astype(np.float64)
    # A sum for each pair by itself: a matrix product adds up some rows in another order.
    if metric is Metric.EUCLIDEAN:
        apart = vectors - query
        return rows, -np.vecdot(apart, apart)
    scores = np.vecdot(vectors, query)
    if metric is Metric.COSINE:
        scores /= np.sqrt(np.vecdot(vectors, vectors) * np.vecdot(query, query))
        np.clip(scores, -1.0, 1.0, out=scores)
    return rows, scores
