"""Searches: which plan answers a query, and the hits in their final order."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from groundwire_index.dense import Nearest, Scope, nearest
from groundwire_index.filter_sql import Sql
from groundwire_index.fusion import Ranking
from groundwire_index.lexical import rank_by_words
from groundwire_index.records import (
    Hit,
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


@dataclass(frozen=True)
class Candidates:
    """The live records that one filter lets through."""

    rows: NDArray[np.int64] | None
    """Row numbers, ascending; None without a filter."""

    @cached_property
    def members(self) -> frozenset[int] | None:
        """The same as a set."""
        return None if self.rows is None else frozenset(self.rows.tolist())

    @property
    def count(self) -> int | None:
        """How many passed the filter; None without one."""
        return None if self.rows is None else len(self.rows)

    def scopes(self, snapshot: Snapshot) -> list[Scope]:
        """Their vectors, by segment."""
        return [
            Scope(view, None if self.rows is None else view.slots_of(self.rows))
            for view in snapshot.segments
        ]


@dataclass(frozen=True, slots=True)
class Ranked:
    """The rows that answer a query, best first, before any is fetched."""

    scores: Ranking
    dense: Mapping[int, float]
    lexical: Mapping[int, float]
    strategy: str
    scanned: int


def search(
    snapshot: Snapshot, queries: Sequence[tuple[SearchQuery, Sql | None]], metric: Metric
) -> list[SearchResult]:
    """Answer checked queries, each with its compiled filter, all from one snapshot.

    Queries with the same filter share its evaluation, and one pass over the vectors.
    """
    groups: dict[Sql | None, list[int]] = {}
    for number, (_, where) in enumerate(queries):
        groups.setdefault(where, []).append(number)
    results: dict[int, SearchResult] = {}
    for where, numbers in groups.items():
        together = [queries[number][0] for number in numbers]
        found = _search_filtered(snapshot, where, together, metric)
        results.update(zip(numbers, found, strict=True))
    return [results[number] for number in range(len(queries))]


def _search_filtered(
    snapshot: Snapshot, where: Sql | None, queries: Sequence[SearchQuery], metric: Metric
) -> Iterator[SearchResult]:
    started = time.perf_counter()
    candidates = Candidates(None if where is None else snapshot.matching(where))
    for query, ranked in zip(queries, _rank(snapshot, candidates, queries, metric), strict=True):
        hits = _hits(snapshot, query, ranked)
        plan = SearchPlan(
            strategy=ranked.strategy,
            scanned=ranked.scanned,
            filtered=candidates.count,
            took_s=time.perf_counter() - started,
            sequence=snapshot.state.sequence,
        )
        yield SearchResult(hits, plan)


def _rank(
    snapshot: Snapshot, candidates: Candidates, queries: Sequence[SearchQuery], metric: Metric
) -> Iterator[Ranked]:
    by_vectors = [query for query in queries if query.mode is not SearchMode.LEXICAL]
    scopes = candidates.scopes(snapshot) if by_vectors else []
    scanned = sum(scope.size for scope in scopes)
    found = iter(_nearest(scopes, by_vectors, metric))
    exact = "exact" if candidates.rows is None else "filtered-exact"
    for query in queries:
        if query.mode is SearchMode.LEXICAL:
            lexical = _by_words(snapshot, candidates, query)
            yield Ranked(lexical, {}, dict(lexical), "lexical", 0)
            continue
        best = next(found)
        pairs = zip(best.rows.tolist(), best.scores.tolist(), strict=True)
        dense = _ordered(snapshot, list(pairs), query)
        if query.mode is SearchMode.DENSE:
            yield Ranked(dense, dict(dense), {}, exact, scanned)
            continue
        lexical = _by_words(snapshot, candidates, query)
        fused = _ordered(snapshot, list(query.fusion.fuse(dense, lexical).items()), query)
        yield Ranked(fused, dict(dense), dict(lexical), f"hybrid({exact},lexical)", scanned)


def _nearest(
    scopes: Sequence[Scope], queries: Sequence[SearchQuery], metric: Metric
) -> Sequence[Nearest]:
    vectors = [query.vector for query in queries if query.vector is not None]
    if not vectors:
        return ()
    return nearest(scopes, np.stack(vectors), metric, [_depth(query) + 1 for query in queries])


def _by_words(snapshot: Snapshot, candidates: Candidates, query: SearchQuery) -> Ranking:
    found = rank_by_words(
        snapshot.connection, query.text or "", _depth(query) + 1, candidates.members
    )
    return _ordered(snapshot, found, query)


def _depth(query: SearchQuery) -> int:
    """How many rows of each ranking are wanted, but for the one that may be left out."""
    if query.mode is SearchMode.HYBRID:
        return max(_LEAST_CANDIDATES, _CANDIDATES_PER_HIT * query.top_k)
    return query.top_k


def _ordered(snapshot: Snapshot, found: Ranking, query: SearchQuery) -> Ranking:
    """The wanted rows, best first, equals in order of id."""
    ids = snapshot.ids_of([row for row, _ in found])
    kept = [pair for pair in found if ids[pair[0]] != query.exclude_id]
    return sorted(kept, key=lambda pair: (-pair[1], ids[pair[0]]))[: _depth(query)]


def _hits(snapshot: Snapshot, query: SearchQuery, ranked: Ranked) -> tuple[Hit, ...]:
    least = -math.inf if query.min_score is None else query.min_score
    best = [pair for pair in ranked.scores[: query.top_k] if pair[1] >= least]
    stored = snapshot.rows_by_number([row for row, _ in best], query.include)
    records = snapshot.records([stored[row] for row, _ in best], query.include)
    return tuple(
        Hit(
            id=record.id,
            score=score,
            dense_score=ranked.dense.get(row),
            lexical_score=ranked.lexical.get(row),
            record=record,
        )
        for (row, score), record in zip(best, records, strict=True)
    )
