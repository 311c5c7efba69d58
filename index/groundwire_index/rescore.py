"""Exact scores of a few places, in double precision, and their order.

Each pair is compared by itself, so equal vectors get equal scores, and the order depends
neither on how the shortlist was found nor on what else is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from groundwire_index.records import Metric
from groundwire_index.space import Places, Space
from groundwire_index.storage.segment_file import Matrix

# Largest piece of vectors, in numbers: it stays in the processor's cache.
_PIECE = 2**14


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The best rows for one query, best first; equals of the last one are all there."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]


def rescored(
    space: Space,
    shortlists: Sequence[Places],
    queries: Matrix,
    metric: Metric,
    depths: Sequence[int],
) -> list[Nearest]:
    """The best of each query's shortlist, to its depth, and ties."""
    sizes = [len(places) for places in shortlists]
    places, owners = np.concatenate(shortlists), np.repeat(np.arange(len(sizes)), sizes)
    order = places.argsort()
    owners = owners[order]
    rows, scores = _exact(space, places[order], owners, queries.astype(np.float64), metric)
    best = np.lexsort((rows, -scores, owners))
    rows, scores = rows[best], scores[best]
    return [
        _cut(rows[end - size : end], scores[end - size : end], depth)
        for size, end, depth in zip(sizes, accumulate(sizes), depths, strict=True)
    ]


def _cut(rows: NDArray[np.int64], scores: NDArray[np.float64], depth: int) -> Nearest:
    if len(scores) > depth:
        last = int(np.searchsorted(-scores, -scores[depth - 1], side="right"))
        rows, scores = rows[:last], scores[:last]
    return Nearest(rows, scores)


def _exact(
    space: Space,
    places: Places,
    owners: NDArray[np.intp],
    queries: NDArray[np.float64],
    metric: Metric,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The rows of places in ascending order, and how each scores for the query that owns it."""
    rows, scores = np.empty(len(places), np.int64), np.empty(len(places))
    squares = np.vecdot(queries, queries)
    step = max(1, _PIECE // queries.shape[1])
    for start in range(0, len(places), step):
        piece = slice(start, start + step)
        rows[piece], vectors = space.read(places[piece])
        asked = 0 if len(queries) == 1 else owners[piece]
        scores[piece] = _scores(vectors, queries.take(asked, axis=0), squares[asked], metric)
    return rows, scores


def _scores(
    vectors: NDArray[np.float64],
    queries: NDArray[np.float64],
    squares: NDArray[np.float64],
    metric: Metric,
) -> NDArray[np.float64]:
    """Of each vector for its query, or for the only one; ``squares`` are of their lengths."""
    # A sum for each pair by itself: a matrix product adds up some rows in another order.
    if metric is Metric.EUCLIDEAN:
        apart = vectors - queries
        scores: NDArray[np.float64] = -np.vecdot(apart, apart)
        return scores
    scores = np.vecdot(vectors, queries)
    if metric is Metric.COSINE:
        scores /= np.sqrt(np.vecdot(vectors, vectors) * squares)
        np.minimum(scores, 1.0, out=scores)
        np.maximum(scores, -1.0, out=scores)
    return scores
