"""Dense searches: the right records with exact scores, whatever they are compared by."""

from __future__ import annotations

import numpy as np
import pytest
from groundwire_index.backend import CollectionBackend
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.filters import Condition, Operator
from groundwire_index.records import Include, Metric, Record, SearchQuery

from tests.conformance.backend.conftest import Make
from tests.unit.index.oracle import assert_same_ranking, best
from tests.unit.index.samples import hit_ids, pairs, record, vector


@pytest.fixture
def points() -> dict[str, Record]:
    random = np.random.default_rng(7)
    return {
        f"p{number}": Record(
            f"p{number}",
            random.normal(size=8).astype(np.float32) * (1 + number % 3),
            f"text {number}",
            {"third": number % 3, "n": number},
        )
        for number in range(200)
    }


@pytest.mark.parametrize("metric", Metric, ids=lambda metric: metric.value)
def test_the_nearest_with_their_scores(
    make: Make, metric: Metric, points: dict[str, Record]
) -> None:
    collection = make(metric=metric, dimension=8)
    collection.upsert(list(points.values()))
    query = np.linspace(-1, 1, 8).astype(np.float32)
    for where in (None, Condition("third", Operator.EQ, 1), Condition("n", Operator.LT, 5)):
        found = collection.search(SearchQuery(query, top_k=10, filter=where))
        assert_same_ranking(pairs(found), best(points, metric, query, 10, where))


def test_a_hit_carries_what_is_asked_for(collection: CollectionBackend) -> None:
    collection.upsert([record("a", vector(1, 2, 2), "text", metadata={"x": 1}, document_id="d")])
    (hit,) = collection.search(SearchQuery(vector(1, 0, 0))).hits
    assert (hit.record.text, hit.record.metadata, hit.record.document_id) == ("text", {"x": 1}, "d")
    assert hit.record.vector is None
    assert hit.score == hit.dense_score == pytest.approx(1 / 3)
    assert hit.lexical_score is None
    include = Include(text=False, metadata=False, vector=True)
    (hit,) = collection.search(SearchQuery(vector(1, 0, 0), include=include)).hits
    assert (hit.record.text, hit.record.metadata) == (None, {})
    assert hit.record.vector is not None
    assert hit.record.vector.tolist() == [1, 2, 2]


def test_equals_come_in_order_of_id(collection: CollectionBackend) -> None:
    collection.upsert([record(key, vector(1, 1, 0)) for key in ("c", "a", "B", "é", "b")])
    assert hit_ids(collection.search(SearchQuery(vector(1, 0, 0)))) == ["B", "a", "b", "c", "é"]


def test_records_without_a_vector_are_not_found_by_one(collection: CollectionBackend) -> None:
    collection.upsert([record("a", vector(0, 1, 0)), Record("b", None, "words")])
    assert hit_ids(collection.search(SearchQuery(vector(1, 0, 0)))) == ["a"]


def test_what_was_deleted_or_replaced_is_not_found(collection: CollectionBackend) -> None:
    collection.upsert([record("a", vector(1, 0, 0)), record("b", vector(0.9, 0.1, 0))])
    collection.delete_ids(["a"])
    collection.upsert([record("b", vector(0, 0, 1))])
    (hit,) = collection.search(SearchQuery(vector(1, 0, 0))).hits
    assert (hit.id, hit.score) == ("b", 0.0)


def test_an_empty_collection_has_no_hits(collection: CollectionBackend) -> None:
    result = collection.search(SearchQuery(vector(1, 0, 0)))
    assert (result.hits, result.plan.sequence) == ((), 0)


def test_limits_of_a_search(collection: CollectionBackend) -> None:
    collection.upsert([record(str(n), vector(1, n, 0)) for n in range(10)])
    query = vector(1, 0, 0)
    assert hit_ids(collection.search(SearchQuery(query, top_k=2))) == ["0", "1"]
    assert hit_ids(collection.search(SearchQuery(query, top_k=2, exclude_id="0"))) == ["1", "2"]
    assert hit_ids(collection.search(SearchQuery(query, min_score=0.7))) == ["0", "1"]
    assert len(collection.search(SearchQuery(query, top_k=1000, ef=10)).hits) == 10
    for wrong, field in (
        (SearchQuery(query, top_k=0), "top_k"),
        (SearchQuery(vector(1, 0)), "vector"),
        (SearchQuery(vector(0, 0, 0)), "vector"),
        (SearchQuery(text="no vector"), "vector"),
    ):
        with pytest.raises(InvalidArgumentError) as raised:
            collection.search(wrong)
        assert raised.value.violations[0].field == field


def test_many_queries_are_answered_in_order(collection: CollectionBackend) -> None:
    collection.upsert([record(key, metadata={"k": key}) for key in "abc"])
    queries = [
        SearchQuery(vector(1, 1, 1), top_k=1 + number % 2, filter=Condition("k", operator, key))
        for number, (operator, key) in enumerate(
            [(Operator.EQ, "b"), (Operator.NE, "b"), (Operator.EQ, "b"), (Operator.EQ, "no")]
        )
    ]
    results = collection.search_many(queries)
    assert [hit_ids(result) for result in results] == [["b"], ["a", "c"], ["b"], []]
    assert {result.plan.sequence for result in results} == {1}
    assert collection.search_many([]) == []
