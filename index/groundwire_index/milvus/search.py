"""Searches by vectors: Milvus proposes, and each hit is compared again, exactly."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundwire_index.errors import UnsupportedError
from groundwire_index.milvus.expressions import expression_of
from groundwire_index.milvus.link import MilvusLink, Row
from groundwire_index.milvus.rows import fields_of, record_key, record_of
from groundwire_index.milvus.schema import EF, KEY, VECTOR, VECTORS
from groundwire_index.records import (
    CollectionSpec,
    Hit,
    Metric,
    SearchMode,
    SearchPlan,
    SearchQuery,
    SearchResult,
    Vector,
)


@dataclass(frozen=True, slots=True)
class _Alike:
    """What queries have in common that go to Milvus in one request."""

    where: str
    fields: tuple[str, ...]
    limit: int
    ef: int


def search(
    link: MilvusLink,
    name: str,
    queries: Sequence[SearchQuery],
    spec: CollectionSpec,
    sequence: int,
) -> list[SearchResult]:
    """Answer checked queries, each with its vector; those that are alike in one request."""
    started = time.perf_counter()
    groups: dict[_Alike, list[int]] = {}
    for number, query in enumerate(queries):
        groups.setdefault(_alike(query), []).append(number)
    results: dict[int, SearchResult] = {}
    for alike, numbers in groups.items():
        given = (queries[number].vector for number in numbers)
        vectors = np.stack([vector for vector in given if vector is not None])
        found = link.nearest(
            name, vectors, alike.where, alike.fields, limit=alike.limit, ef=alike.ef
        )
        for number, vector, rows in zip(numbers, vectors, found, strict=True):
            query = queries[number]
            plan = SearchPlan(
                strategy=_strategy(query, spec),
                scanned=len(rows),
                filtered=None,
                took_s=time.perf_counter() - started,
                sequence=sequence,
            )
            results[number] = SearchResult(tuple(_hits(rows, vector, query, spec.metric)), plan)
    return [results[number] for number in range(len(queries))]


def require_supported(query: SearchQuery, spec: CollectionSpec) -> None:
    """Refuse what Milvus cannot be asked for."""
    if query.mode is not SearchMode.DENSE:
        raise UnsupportedError(
            f"search by {query.mode.value} ranking is not supported with the index in Milvus, "
            "which has no keyword search: use mode dense",
            reason="SEARCH_MODE_UNSUPPORTED",
        )
    if query.exact and spec.index_kind != "flat":
        raise UnsupportedError(
            'exact is not supported with the index in Milvus for an index of kind "'
            f'{spec.index_kind}": create the collection with kind flat, whose searches are exact',
            reason="EXACT_UNSUPPORTED",
        )
    if query.nprobe is not None:
        raise UnsupportedError(
            "nprobe is not supported with the index in Milvus, which has no index of lists: "
            "leave it out, or use ef",
            reason="NPROBE_UNSUPPORTED",
        )


def _alike(query: SearchQuery) -> _Alike:
    where = VECTORS
    if query.filter is not None:
        where += f" and {expression_of(query.filter)}"
    if query.exclude_id:
        where += f' and {KEY} != "{record_key(query.exclude_id)}"'
    fields = dict.fromkeys((*fields_of(query.include), VECTOR))
    return _Alike(where, tuple(fields), query.top_k, max(query.ef or EF, query.top_k))


def _hits(rows: Sequence[Row], vector: Vector, query: SearchQuery, metric: Metric) -> Iterator[Hit]:
    if not rows:
        return
    scores = exact_scores(vector, np.array([row[VECTOR] for row in rows], np.float32), metric)
    records = [record_of(row, query.include) for row in rows]
    for score, record in sorted(
        zip(scores.tolist(), records, strict=True), key=lambda pair: (-pair[0], pair[1].id)
    ):
        if query.min_score is None or score >= query.min_score:
            yield Hit(record.id, score, score, None, record)


def exact_scores(
    query: Vector, vectors: NDArray[np.float32], metric: Metric
) -> NDArray[np.float64]:
    """The metric between a query and each of the vectors, in double precision."""
    wanted, stored = query.astype(np.float64), vectors.astype(np.float64)
    if metric is Metric.EUCLIDEAN:
        apart = stored - wanted
        return -_products(apart, apart)
    scores = _products(stored, np.broadcast_to(wanted, stored.shape))
    if metric is Metric.COSINE:
        scores /= np.sqrt(_products(stored, stored) * (wanted @ wanted))
        np.clip(scores, -1.0, 1.0, out=scores)
    return scores


def _products(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    products: NDArray[np.float64] = np.einsum("ij,ij->i", left, right)
    return products


def _strategy(query: SearchQuery, spec: CollectionSpec) -> str:
    found = "exact" if spec.index_kind == "flat" else "ann"
    return found if query.filter is None else f"filtered-{found}"
