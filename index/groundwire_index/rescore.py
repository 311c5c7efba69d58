"""Exact scores of a few places, in double precision, and their order.

Each pair is compared by itself, so equal vectors get equal scores, and the order depends
neither on how the shortlist was found nor on what else is compared with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundwire_index.records import Metric
from groundwire_index.space import Places, Space
from groundwire_index.storage.segment_file import Matrix

# Largest piece of vectors, in numbers.
_PIECE = 2**21


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
    places = np.concatenate(shortlists)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    scores = np.concatenate([np.empty(0), *_exact(space, places, queries, owners, metric)])
    rows = space.rows(places)
    order = np.lexsort((rows, -scores, owners))
    ends = np.cumsum(sizes)
    return [
        _cut(rows[mine], scores[mine], depth)
        for mine, depth in zip(np.split(order, ends[:-1]), depths, strict=True)
    ]


def _cut(rows: NDArray[np.int64], scores: NDArray[np.float64], depth: int) -> Nearest:
    if len(scores) > depth:
        last = int(np.searchsorted(-scores, -scores[depth - 1], side="right"))
        rows, scores = rows[:last], scores[:last]
    return Nearest(rows, scores)


def _exact(
    space: Space,
    places: Places,
    queries: Matrix,
    owners: NDArray[np.int64],
    metric: Metric,
) -> Iterator[NDArray[np.float64]]:
    wanted = queries.astype(np.float64)
    squares = _products(wanted, wanted)
    step = max(1, _PIECE // queries.shape[1])
    for start in range(0, len(places), step):
        mine = owners[start : start + step]
        vectors = space.vectors(places[start : start + step]).astype(np.float64)
        if metric is Metric.EUCLIDEAN:
            apart = vectors - wanted[mine]
            yield -_products(apart, apart)
            continue
        scores = _products(vectors, wanted[mine])
        if metric is Metric.COSINE:
            scores /= np.sqrt(_products(vectors, vectors) * squares[mine])
            np.clip(scores, -1.0, 1.0, out=scores)
        yield scores


def _products(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    products: NDArray[np.float64] = np.einsum("ij,ij->i", left, right)
    return products
