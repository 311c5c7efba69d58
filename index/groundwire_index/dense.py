"""Exact nearest vectors.

Every vector is compared in single precision by one matrix product a piece; what could be
among the best is compared again in double precision, vector by vector. So equal vectors get
equal scores, and the order does not depend on how the product was blocked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundwire_index.records import Metric
from groundwire_index.segment import SegmentView
from groundwire_index.storage.segment_file import Matrix

# Largest piece of vectors, and of scores, in numbers.
_PIECE = 2**22
# Above this share of a segment, masking is cheaper than picking vectors out.
_PICKED_SHARE = 0.25
# Sixteen times the usual error of a single-precision sum of n terms, over sqrt(n).
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The best rows for one query, best first; equals of the last one are all there."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The vectors of one segment that take part."""

    view: SegmentView
    slots: NDArray[np.int64] | None
    """None: all that count."""

    @property
    def size(self) -> int:
        """How many they are."""
        return int(np.count_nonzero(self.view.live)) if self.slots is None else len(self.slots)


def nearest(
    scopes: Sequence[Scope], queries: Matrix, metric: Metric, depths: Sequence[int]
) -> list[Nearest]:
    """The best rows for each of ``queries`` (count, dimension), to its depth, and ties."""
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
    margins = _margins(scopes, lengths, metric, queries.shape[1])
    best = [_Best(depth, margin) for depth, margin in zip(depths, margins, strict=True)]
    directed = queries
    if metric is Metric.COSINE:
        directed = (queries / lengths[:, None]).astype(np.float32)
    offset = 0
    for scope in scopes:
        for slots, scores in _scores(scope, directed, metric):
            for one, row in zip(best, scores, strict=True):
                one.add(offset + slots, row)
        offset += len(scope.view.rows)
    return [
        _rescored(scopes, one.places(), query, metric, depth)
        for one, query, depth in zip(best, queries, depths, strict=True)
    ]


class _Best:
    """The best approximate scores seen so far, with all that rounding may have put below."""

    def __init__(self, depth: int, margin: float) -> None:
        self._depth = depth
        self._margin = margin
        self._floor = -math.inf
        self._places = np.empty(0, np.int64)
        self._scores = np.empty(0, np.float32)

    def add(self, places: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        good = np.flatnonzero(scores > self._floor)
        if not len(good):
            return
        self._places = np.concatenate((self._places, places[good]))
        self._scores = np.concatenate((self._scores, scores[good]))
        surplus = len(self._scores) - self._depth
        if surplus > 0:
            self._floor = float(np.partition(self._scores, surplus)[surplus]) - self._margin
            kept = self._scores > self._floor
            self._places, self._scores = self._places[kept], self._scores[kept]

    def places(self) -> NDArray[np.int64]:
        return self._places


def _margins(
    scopes: Sequence[Scope], lengths: NDArray[np.float64], metric: Metric, dimension: int
) -> NDArray[np.float64]:
    longest = max((float(s.view.norms.max(initial=0)) for s in scopes), default=0.0)
    scale = np.ones_like(lengths)
    if metric is Metric.DOT:
        scale = lengths * longest
    elif metric is Metric.EUCLIDEAN:
        scale = (lengths + longest) ** 2
    return _ROUNDING * math.sqrt(dimension) * scale + np.finfo(np.float32).tiny


def _scores(
    scope: Scope, queries: Matrix, metric: Metric
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Slots and their scores, shape (queries, slots), piece by piece; -inf does not count."""
    for slots, vectors, norms, counted in _pieces(scope, len(queries)):
        # Slots that do not count may hold anything.
        with np.errstate(over="ignore", invalid="ignore"):
            scores = queries @ vectors.T
            if metric is Metric.COSINE:
                scores /= norms
            elif metric is Metric.EUCLIDEAN:
                scores *= 2
                scores -= norms * norms
        if counted is not None:
            scores[:, ~counted] = -np.inf
        yield slots, scores


def _pieces(
    scope: Scope, queries: int
) -> Iterator[tuple[NDArray[np.int64], Matrix, NDArray[np.float32], NDArray[np.bool_] | None]]:
    """Slots, vectors, norms, and which of them take part (None: all)."""
    view, chosen = scope.view, scope.slots
    size, dimension = view.vectors.shape
    if chosen is not None and len(chosen) <= _PICKED_SHARE * size:
        step = max(1, _PIECE // max(queries, dimension))
        for start in range(0, len(chosen), step):
            slots = chosen[start : start + step]
            yield slots, view.vectors[slots], view.norms[slots], None
        return
    counted = view.live
    if chosen is not None:
        counted = np.zeros(size, np.bool_)
        counted[chosen] = True
    step = max(1, _PIECE // queries)
    for start in range(0, size, step):
        piece = slice(start, min(start + step, size))
        part = counted[piece]
        yield (
            np.arange(piece.start, piece.stop),
            view.vectors[piece],
            view.norms[piece],
            None if part.all() else part,
        )


def _rescored(
    scopes: Sequence[Scope],
    places: NDArray[np.int64],
    query: NDArray[np.float32],
    metric: Metric,
    depth: int,
) -> Nearest:
    ends = np.cumsum([len(scope.view.rows) for scope in scopes])
    owners = np.searchsorted(ends, places, side="right")
    rows = np.empty(len(places), np.int64)
    scores = np.empty(len(places), np.float64)
    for number in np.unique(owners):
        view = scopes[number].view
        mine = owners == number
        slots = places[mine] - (ends[number] - len(view.rows))
        rows[mine] = view.rows[slots]
        scores[mine] = _exact(view.vectors, slots, query, metric)
    order = np.lexsort((rows, -scores))
    rows, scores = rows[order], scores[order]
    if len(scores) > depth:
        last = np.searchsorted(-scores, -scores[depth - 1], side="right")
        rows, scores = rows[:last], scores[:last]
    return Nearest(rows, scores)


def _exact(
    vectors: Matrix, slots: NDArray[np.int64], query: NDArray[np.float32], metric: Metric
) -> NDArray[np.float64]:
    wanted = query.astype(np.float64)
    step = max(1, _PIECE // len(query))
    scores = np.empty(len(slots), np.float64)
    for start in range(0, len(slots), step):
        picked = vectors[slots[start : start + step]].astype(np.float64)
        scores[start : start + step] = _compare(picked, wanted, metric)
    return scores


def _compare(
    vectors: NDArray[np.float64], query: NDArray[np.float64], metric: Metric
) -> NDArray[np.float64]:
    scores: NDArray[np.float64]
    if metric is Metric.EUCLIDEAN:
        scores = -np.sum((vectors - query) ** 2, axis=1)
        return scores
    scores = np.sum(vectors * query, axis=1)
    if metric is Metric.COSINE:
        scores /= np.sqrt(np.sum(vectors * vectors, axis=1) * np.sum(query * query))
        np.clip(scores, -1.0, 1.0, out=scores)
    return scores
