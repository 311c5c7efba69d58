"""Searches: which plan answers a query, and the hits in their final order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundwire_index.ann import Tuning
from groundwire_index.dense import Answer, Question, search_vectors
from groundwire_index.filter_sql import CompiledFilter
from groundwire_index.fusion import Ranking, above_least
from groundwire_index.lexical import rank_by_words
from groundwire_index.records import (
    Hit,
    Include,
    Metric,
    SearchMode,
    SearchPlan,
    SearchQuery,
    SearchResult,
)
from groundwire_index.snapshot import Snapshot

# Candidates of each ranking that a hybrid search joins.
_LEAST_CANDIDATES = 100
_CANDIDATES_PER_HIT = 4
_NOTHING = Include(text=False, metadata=False)


@dataclass(frozen=True)
class Candidates:
    """The live records that one filter lets through."""

    rows: NDArray[np.int64] | None
    """Row numbers, ascending; None without a filter."""

    @property
    def count(self) -> int | None:
        """How many passed the filter; None without one."""
        return None if self.rows is None else len(self.rows)


@dataclass(frozen=True, slots=True)
class Ranked:
    """The rows that answer a query, best first, before any is fetched."""

    scores: Ranking
    dense: Mapping[int, float]
    lexical: Mapping[int, float]
    strategy: str
    scanned: int


class Alike(NamedTuple):
    """What queries have in common that are answered together; a tuple, for it is made for each."""

    where: CompiledFilter | None
    exact: bool
    ef: int | None
    nprobe: int | None


def search(
    snapshot: Snapshot,
    queries: Sequence[tuple[SearchQuery, CompiledFilter | None]],
    metric: Metric,
) -> list[SearchResult]:
    """Answer checked queries, each with its compiled filter, all from one snapshot.

    Queries with the same filter share its evaluation, and one pass over the vectors.
    """
    started = time.perf_counter()
    groups: dict[Alike, list[int]] = {}
    for number, (query, where) in enumerate(queries):
        alike = Alike(where, query.exact, query.ef, query.nprobe)
        groups.setdefault(alike, []).append(number)
    results: dict[int, SearchResult] = {}
    for alike, numbers in groups.items():
        together = [queries[number][0] for number in numbers]
        found = _search_alike(snapshot, alike, together, metric, started)
        results.update(zip(numbers, found, strict=True))
    return [results[number] for number in range(len(queries))]


def _search_alike(
    snapshot: Snapshot,
    alike: Alike,
    queries: Sequence[SearchQuery],
    metric: Metric,
    started: float,
) -> Iterator[SearchResult]:
    candidates = Candidates(None if alike.where is None else snapshot.matching(alike.where))
    ranked = list(_rank(snapshot, candidates, alike, queries, metric))
    for query, one, hits in zip(queries, ranked, _hits(snapshot, queries, ranked), strict=True):
        plan = SearchPlan(
            strategy=one.strategy,
            scanned=one.scanned,
            filtered=candidates.count,
            took_s=time.perf_counter() - started,
            sequence=snapshot.state.sequence,
        )
        yield SearchResult(_good_enough(hits, query), plan)


def _rank(
    snapshot: Snapshot,
    candidates: Candidates,
    alike: Alike,
    queries: Sequence[SearchQuery],
    metric: Metric,
) -> Iterator[Ranked]:
    found = iter(_by_vectors(snapshot, candidates, alike, queries, metric))
    for query in queries:
        if query.mode is SearchMode.LEXICAL:
            lexical = _by_words(snapshot, candidates, query)
            yield Ranked(lexical, {}, dict(lexical), "lexical", 0)
            continue
        answer = next(found)
        best = answer.nearest
        pairs = list(zip(best.rows.tolist(), best.scores.tolist(), strict=True))
        dense = _ordered(snapshot, pairs, query, _depth(query))
        if query.mode is SearchMode.DENSE:
            yield Ranked(dense, dict(dense), {}, answer.strategy, answer.scanned)
            continue
        lexical = _by_words(snapshot, candidates, query)
        fused = sorted(
            query.fusion.fuse(above_least(dense, metric.least), lexical).items(),
            key=lambda pair: -pair[1],
        )
        yield Ranked(
            _ordered(snapshot, fused, query, query.top_k),
            dict(dense),
            dict(lexical),
            f"hybrid({answer.strategy},lexical)",
            answer.scanned,
        )


def _by_vectors(
    snapshot: Snapshot,
    candidates: Candidates,
    alike: Alike,
    queries: Sequence[SearchQuery],
    metric: Metric,
) -> Sequence[Answer]:
    asked = [
        (query.vector, _depth(query) + 1)
        for query in queries
        if query.mode is not SearchMode.LEXICAL and query.vector is not None
    ]
    if not asked or snapshot.view is None:
        return ()
    vectors, depths = zip(*asked, strict=True)
    tuning = Tuning(ef=alike.ef, nprobe=alike.nprobe)
    question = Question(np.stack(vectors), depths, candidates.rows, alike.exact, tuning)
    return search_vectors(snapshot.view, question, metric)


def _by_words(snapshot: Snapshot, candidates: Candidates, query: SearchQuery) -> Ranking:
    found = rank_by_words(snapshot.connection, query.text or "", _depth(query) + 1, candidates.rows)
    return _ordered(snapshot, found, query, _depth(query))


def _depth(query: SearchQuery) -> int:
    """How many rows of each ranking are wanted, but for the one that may be left out."""
    if query.mode is SearchMode.HYBRID:
        return max(_LEAST_CANDIDATES, _CANDIDATES_PER_HIT * query.top_k)
    return query.top_k


def _ordered(snapshot: Snapshot, found: Ranking, query: SearchQuery, depth: int) -> Ranking:
    """The first ``depth`` rows of a ranking, best first, equals in order of id."""
    if query.exclude_id:
        left_out = snapshot.live_rows_of([query.exclude_id], _NOTHING).get(query.exclude_id)
        found = [pair for pair in found if left_out is None or pair[0] != left_out.row]
    if tied := _tied(found, depth):
        ids = snapshot.ids_of(tied)
        found = sorted(found, key=lambda pair: (-pair[1], ids.get(pair[0], "")))
    return found[:depth]


def _tied(found: Ranking, depth: int) -> list[int]:
    """Rows of equal scores among the first ``depth``, with those past it that equal the last."""
    if len({score for _, score in found}) == len(found):
        return []
    tied, at = [], 0
    for _, equals in groupby(found, key=itemgetter(1)):
        rows = [row for row, _ in equals]
        if len(rows) > 1:
            tied += rows
        at += len(rows)
        if at >= depth:
            break
    return tied


def _hits(
    snapshot: Snapshot, queries: Sequence[SearchQuery], ranked: Sequence[Ranked]
) -> Iterator[tuple[Hit, ...]]:
    """The best of each query, whose records are read together."""
    best = [one.scores[: query.top_k] for query, one in zip(queries, ranked, strict=True)]
    wanted: dict[Include, set[int]] = {}
    for query, pairs in zip(queries, best, strict=True):
        wanted.setdefault(query.include, set()).update(row for row, _ in pairs)
    records = {include: snapshot.records_of(rows, include) for include, rows in wanted.items()}
    for query, one, pairs in zip(queries, ranked, best, strict=True):
        found, dense, lexical = records[query.include], one.dense, one.lexical
        hits = []
        for row, score in pairs:
            record = found[row]
            hits.append(Hit(record.id, score, dense.get(row), lexical.get(row), record))
        yield tuple(hits)


def _good_enough(hits: tuple[Hit, ...], query: SearchQuery) -> tuple[Hit, ...]:
    least = query.min_score
    return hits if least is None else tuple(hit for hit in hits if hit.score >= least)
