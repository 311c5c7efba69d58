"""Nearest vectors: which plan finds them, exact scores in the end.

- Without an index, or when asked to, every vector is compared.
- A filter that few pass: those few are compared.
- Else the indexes propose, what they do not cover is compared, and if fewer come back than
  there are, every vector is compared after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from groundwire_index.ann import Tuning
from groundwire_index.published import View
from groundwire_index.records import Metric
from groundwire_index.rescore import Nearest, rescored
from groundwire_index.scan import Scope, shortlists
from groundwire_index.space import Space
from groundwire_index.storage.segment_file import Matrix

# So many vectors picked by a filter are compared sooner than an index that must pass over the
# others finds its way. Measured over 100,000 vectors of 384 dimensions with HNSW: for one query,
# 0.5 ms against 0.6 for 1,000 picked, 0.9 against 0.9 for 2,000, 2.2 against 1.7 for 5,000, 8.7
# against 2.5 for 20,000. Queries share the picking: eight of them break even at some 15,000.
_FEW = 2000
_SHARING = 8
# At least this share of all, so that an index need not look for one among hundreds.
_FEW_SHARE = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Queries that share a filter and how they are answered."""

    vectors: Matrix
    """Shape (queries, dimension)."""
    depths: Sequence[int]
    """How many rows each wants."""
    rows: NDArray[np.int64] | None = None
    """Numbers of the rows that may be found, ascending; None for all."""
    exact: bool = False
    """Compare every vector."""
    tuning: Tuning = field(default_factory=Tuning)

    def only(self, numbers: Sequence[int]) -> Question:
        """Some of the queries, compared with every vector."""
        depths = [self.depths[number] for number in numbers]
        return Question(self.vectors[numbers], depths, self.rows, exact=True)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What was found, and how."""

    nearest: Nearest
    strategy: str
    scanned: int
    """Vectors that were compared in full precision."""


def search_vectors(view: View, question: Question, metric: Metric) -> list[Answer]:
    """The best rows for each query, to its depth, and ties."""
    if question.exact or not view.anns or _are_few(view.space, question):
        return _compared(view.space, question, metric)
    answers = _proposed(view, question, metric)
    reachable = view.space.live if question.rows is None else len(question.rows)
    short = [
        number
        for number, (answer, depth) in enumerate(zip(answers, question.depths, strict=True))
        if len(answer.nearest.rows) < min(depth, reachable)
    ]
    if short:
        again = _compared(view.space, question.only(short), metric, prefix="ann,")
        for number, answer in zip(short, again, strict=True):
            answers[number] = answer
    return answers


def _are_few(space: Space, question: Question) -> bool:
    if question.rows is None:
        return False
    few = _FEW * min(_SHARING, len(question.vectors))
    return len(question.rows) <= max(few, _FEW_SHARE * space.live)


def _compared(space: Space, question: Question, metric: Metric, prefix: str = "") -> list[Answer]:
    scopes = [
        _scope(space, number, 0, len(segment.rows), question.rows)
        for number, segment in enumerate(space.segments)
    ]
    found = shortlists(space, scopes, question.vectors, metric, question.depths)
    scanned = sum(scope.size(space) for scope in scopes)
    strategy = prefix + ("exact" if question.rows is None else "filtered-exact")
    return [
        Answer(nearest, strategy, scanned)
        for nearest in rescored(space, found, question.vectors, metric, question.depths)
    ]


def _proposed(view: View, question: Question, metric: Metric) -> list[Answer]:
    space, depth = view.space, max(question.depths)
    passing = _passing(space, question.rows)
    proposals = [
        ann.propose(question.vectors, depth, passing, question.tuning) for ann in view.anns
    ]
    scopes = _left_over(view, question.rows)
    if scopes:
        found = shortlists(space, scopes, question.vectors, metric, question.depths)
        proposals.append(found)
    joined = proposals[0]
    if len(proposals) > 1:
        joined = [np.concatenate(lists) for lists in zip(*proposals, strict=True)]
    besides = sum(scope.size(space) for scope in scopes)
    strategy = "ann" if question.rows is None else "filtered-ann"
    nearest = rescored(space, joined, question.vectors, metric, question.depths)
    return [
        Answer(one, strategy, besides + len(places))
        for one, places in zip(nearest, joined, strict=True)
    ]


def _left_over(view: View, rows: NDArray[np.int64] | None) -> list[Scope]:
    """What no index covers."""
    if not view.left_over:
        return []
    at = {segment.number: number for number, segment in enumerate(view.space.segments)}
    return [
        _scope(view.space, at[span.segment], span.start, span.stop, rows) for span in view.left_over
    ]


def _scope(
    space: Space, number: int, start: int, stop: int, rows: NDArray[np.int64] | None
) -> Scope:
    if rows is None:
        return Scope(number, start, stop)
    slots = space.segments[number].slots_of(rows)
    return Scope(number, start, stop, slots[(slots >= start) & (slots < stop)])


def _passing(space: Space, rows: NDArray[np.int64] | None) -> NDArray[np.bool_] | None:
    """Of each row number, whether it may be found."""
    if rows is None:
        return None
    tails = [int(segment.rows[-1]) for segment in space.segments if len(segment.rows)]
    highest = max(tails, default=0)
    passing = np.zeros(highest + 1, np.bool_)
    passing[rows[: np.searchsorted(rows, highest, side="right")]] = True
    return passing
