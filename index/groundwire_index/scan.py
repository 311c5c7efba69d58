"""Comparing every vector: a shortlist that surely holds the best.

Vectors are compared in single precision by one matrix product a piece. The shortlist keeps
whatever rounding may have put below the best, for `rescore` to decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from groundwire_index.half import widened
from groundwire_index.records import Metric
from groundwire_index.space import Places, Space
from groundwire_index.storage.segment_file import Matrix, StoredMatrix

# Largest piece of vectors, and of scores, in numbers.
_PIECE = 2**22
# As float32 they stay in the processor's cache.
_WIDENED = 2**17
# The same of vectors that are picked out: they stay in the processor's cache, and so small a piece
# of memory is used again, where a larger one is mapped anew, page by page, for every search.
_PICKED = 2**17
# Above this share of a segment, masking is cheaper than picking vectors out.
_PICKED_SHARE = 0.25
# Sixteen times the usual error of a single-precision sum of n terms, over sqrt(n).
_ROUNDING = 1e-6
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The vectors of a stretch of one segment that take part."""

    segment: int
    """Which of the space's segments."""
    start: int
    stop: int
    slots: Places | None = None
    """Which of the stretch, ascending; None for all that count."""

    def split(self, at: int) -> tuple[Scope, Scope]:
        """What of it is before a slot, and what is from there on."""
        before, after = self.slots, self.slots
        if self.slots is not None:
            middle = int(np.searchsorted(self.slots, at))
            before, after = self.slots[:middle], self.slots[middle:]
        return replace(self, stop=at, slots=before), replace(self, start=at, slots=after)

    def counted(self, space: Space) -> NDArray[np.bool_]:
        """Of each slot of the stretch, whether it takes part."""
        if self.slots is None:
            return space.segments[self.segment].live[self.start : self.stop]
        counted = np.zeros(self.stop - self.start, np.bool_)
        counted[self.slots - self.start] = True
        return counted

    def size(self, space: Space) -> int:
        """How many vectors they are."""
        if self.slots is not None:
            return len(self.slots)
        return int(np.count_nonzero(space.segments[self.segment].live[self.start : self.stop]))


def shortlists(
    space: Space, scopes: Sequence[Scope], queries: Matrix, metric: Metric, depths: Sequence[int]
) -> list[Places]:
    """For each of ``queries`` (count, dimension), places that hold the best to its depth."""
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
    margins = _margins(space, scopes, lengths, metric, queries.shape[1])
    best = [_Best(depth, margin) for depth, margin in zip(depths, margins, strict=True)]
    directed = queries
    if metric is Metric.COSINE:
        directed = (queries / lengths[:, None]).astype(np.float32)
    for scope in scopes:
        offset = space.starts[scope.segment]
        for part, mine in _parts(space, scope, queries, depths):
            for slots, scores in _scores(space, part, directed[mine], metric):
                for number, row in zip(mine, scores, strict=True):
                    best[number].add(offset + slots, row)
    return [one.places for one in best]


def _parts(
    space: Space, scope: Scope, queries: Matrix, depths: Sequence[int]
) -> Iterator[tuple[Scope, Sequence[int]]]:
    """What of a scope to compare with which of the queries: little where a GPU has done it."""
    everyone = range(len(queries))
    held = space.held.get(space.segments[scope.segment].number)
    if held is None or scope.start or scope.stop < held.count:
        yield scope, everyone
        return
    first, rest = scope.split(held.count)
    counted = first.counted(space)
    unsure = []
    for number, slots in enumerate(held.nearest(queries, depths, counted)):
        if slots is None:
            unsure.append(number)
        else:
            yield replace(first, slots=np.sort(slots)), [number]
    if unsure:
        yield first, unsure
    if rest.stop > rest.start:
        yield rest, everyone


class _Best:
    """The best approximate scores seen so far, with all that rounding may have put below."""

    def __init__(self, depth: int, margin: float) -> None:
        self.places: Places = np.empty(0, np.int64)
        self._depth = depth
        self._margin = margin
        self._floor = -math.inf
        self._scores = np.empty(0, np.float32)

    def add(self, places: Places, scores: NDArray[np.float32]) -> None:
        good = np.flatnonzero(scores > self._floor)
        if not len(good):
            return
        self.places = np.concatenate((self.places, places[good]))
        self._scores = np.concatenate((self._scores, scores[good]))
        surplus = len(self._scores) - self._depth
        if surplus > 0:
            self._floor = float(np.partition(self._scores, surplus)[surplus]) - self._margin
            kept = self._scores > self._floor
            self.places, self._scores = self.places[kept], self._scores[kept]


def _margins(
    space: Space,
    scopes: Sequence[Scope],
    lengths: NDArray[np.float64],
    metric: Metric,
    dimension: int,
) -> NDArray[np.float64]:
    longest = max(
        (float(space.segments[one.segment].norms.max(initial=0)) for one in scopes), default=0.0
    )
    scale = np.ones_like(lengths)
    if metric is Metric.DOT:
        scale = lengths * longest
    elif metric is Metric.EUCLIDEAN:
        scale = (lengths + longest) ** 2
    return _ROUNDING * math.sqrt(dimension) * scale + _TINY


def _scores(
    space: Space, scope: Scope, queries: Matrix, metric: Metric
) -> Iterator[tuple[Places, NDArray[np.float32]]]:
    """Slots and their scores, shape (queries, slots), piece by piece; -inf does not count."""
    for slots, vectors, norms, counted in _pieces(space, scope, len(queries)):
        # Slots that do not count may hold anything.
        with np.errstate(over="ignore", invalid="ignore"):
            scores = _products(queries, vectors)
            if metric is Metric.COSINE:
                scores /= norms
            elif metric is Metric.EUCLIDEAN:
                scores *= 2
                scores -= norms * norms
        if counted is not None:
            scores[:, ~counted] = -np.inf
        yield slots, scores


def _products(queries: Matrix, vectors: StoredMatrix) -> Matrix:
    """Inner products, shape (queries, vectors)."""
    if vectors.dtype == np.float32:
        return queries @ vectors.T
    products = np.empty((len(queries), len(vectors)), np.float32)
    step = max(1, _WIDENED // vectors.shape[1])
    for start in range(0, len(vectors), step):
        piece = slice(start, start + step)
        products[:, piece] = queries @ widened(vectors[piece]).T
    return products


def _pieces(
    space: Space, scope: Scope, queries: int
) -> Iterator[tuple[Places, StoredMatrix, NDArray[np.float32], NDArray[np.bool_] | None]]:
    """Slots, vectors, norms, and which of them take part (None: all)."""
    segment, chosen = space.segments[scope.segment], scope.slots
    size, dimension = scope.stop - scope.start, segment.vectors.shape[1]
    if chosen is not None and len(chosen) <= _PICKED_SHARE * size:
        step = max(1, _PICKED // max(queries, dimension))
        for start in range(0, len(chosen), step):
            slots = chosen[start : start + step]
            yield slots, segment.vectors[slots], segment.norms[slots], None
        return
    counted = segment.live
    if chosen is not None:
        counted = np.zeros(len(segment.rows), np.bool_)
        counted[chosen] = True
    step = max(1, _PIECE // queries)
    for start in range(scope.start, scope.stop, step):
        piece = slice(start, min(start + step, scope.stop))
        part = counted[piece]
        yield (
            np.arange(piece.start, piece.stop),
            segment.vectors[piece],
            segment.norms[piece],
            None if part.all() else part,
        )
