"""One set of rules for filters, on every road that takes one.

Each road turns a filter into the ids of the records that pass. A new backend, or a new kind of
dense index, joins by adding its road here: one that ignores filters, or bends a rule, fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import CollectionSpec, Index, Metric, Record, SearchMode
from groundwire_index.backend import CollectionBackend
from groundwire_index.errors import UnsupportedError
from groundwire_index.filters import All, Any, Condition, Filter, Not, Operator
from groundwire_index.milvus import MilvusIndex
from groundwire_index.milvus.collection import MilvusCollection
from groundwire_index.records import JsonValue, SearchQuery
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.milvus import LiteServer
from tests.unit.index.oracle import matches
from tests.unit.index.random_filters import filters, metadata

Road = Callable[[CollectionBackend, Filter], set[str]]

QUERY = np.array([1, 2], np.float32)


def by_scroll(collection: CollectionBackend, where: Filter) -> set[str]:
    return {record.id for record in collection.scroll(where, limit=1000).records}


def by_search(mode: SearchMode) -> Road:
    def search(collection: CollectionBackend, where: Filter) -> set[str]:
        query = SearchQuery(QUERY, "words", 1000, mode, where)
        return {hit.id for hit in collection.search(query).hits}

    return search


def by_batch(collection: CollectionBackend, where: Filter) -> set[str]:
    both = [SearchQuery(QUERY, top_k=1000), SearchQuery(QUERY, top_k=1000, filter=where)]
    return {hit.id for hit in collection.search_many(both)[1].hits}


def by_deleting(collection: CollectionBackend, where: Filter) -> set[str]:
    """Deletes what passes, and sees what is missing; a filter that decides nothing is refused."""
    decides = All((where, Condition("$id", Operator.PREFIX, "r")))
    before = {record.id for record in collection.scroll(limit=1000).records}
    counted = collection.delete_filter(decides).count
    gone = before - {record.id for record in collection.scroll(limit=1000).records}
    assert counted == len(gone)
    return gone


ROADS: dict[str, Road] = {
    "scroll": by_scroll,
    "dense": by_search(SearchMode.DENSE),
    "dense batch": by_batch,
    "lexical": by_search(SearchMode.LEXICAL),
    "hybrid": by_search(SearchMode.HYBRID),
    "delete": by_deleting,
}
BY_WORDS = (ROADS["lexical"], ROADS["hybrid"])

INDEXED = ["a", "b", "a.b", 'q"uote', "back\\slash", "x", "x.y"]


@pytest.fixture(scope="module", params=["read", "indexed", "milvus"])
def collection(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CollectionBackend]:
    """One whose filters read the rows, one with as many indexed fields as may be, one in Milvus."""
    path: Path = tmp_path_factory.mktemp("index")
    if request.param == "milvus":
        yield from in_milvus(path)
        return
    most = 0 if request.param == "indexed" else 10**9
    with Index.open(path, segment_bytes=64, background=False, index_fields_from=most) as index:
        index.create_collection("t", CollectionSpec("c", Metric.EUCLIDEAN, 2))
        collection = index.collection("t", "c")
        collection.count(Not(All(tuple(Condition(one, Operator.EQ, 1) for one in INDEXED))))
        while collection.upkeep.index_field():
            pass
        assert sorted(collection.info().indexed_fields) == sorted([*INDEXED, "$id"] * (not most))
        yield collection


def in_milvus(path: Path) -> Iterator[CollectionBackend]:
    with LiteServer(path) as server, MilvusIndex.open(server.uri) as index:
        index.create_collection("t", CollectionSpec("c", Metric.EUCLIDEAN, 2))
        yield index.collection("t", "c")


def fill(collection: CollectionBackend, metadata: list[dict[str, JsonValue]]) -> list[Record]:
    """Records with a vector, a text, both in turn, of documents and of none; in place of all."""
    collection.delete_filter(Condition("$id", Operator.EXISTS, True))
    records = [
        Record(
            f"r{number}",
            np.array([number, 1], np.float32),
            "words",
            one,
            document_id="" if number % 3 else f"d{number % 2}",
        )
        for number, one in enumerate(metadata)
    ]
    collection.upsert(records)
    return records


def check(collection: CollectionBackend, records: list[Record], where: Filter, road: Road) -> None:
    expected = {record.id for record in records if matches(where, record)}
    if road in BY_WORDS and isinstance(collection, MilvusCollection):
        with pytest.raises(UnsupportedError):
            road(collection, where)
        return
    assert road(collection, where) == expected
    if road is not by_deleting:
        assert collection.count(where).count == len(expected)


@settings(max_examples=80)
@given(
    metadata=st.lists(metadata, min_size=1, max_size=12),
    wheres=st.lists(filters, min_size=1, max_size=6),
)
def test_filters_agree_with_plain_python(
    collection: CollectionBackend, metadata: list[dict[str, JsonValue]], wheres: list[Filter]
) -> None:
    records = fill(collection, metadata)
    for where in wheres:
        check(collection, records, where, by_scroll)
    for name in ("dense", "lexical"):
        check(collection, records, wheres[0], ROADS[name])


SAMPLE: list[dict[str, JsonValue]] = [
    {},
    {"x": None},
    {"x": 1},
    {"x": 1.0},
    {"x": "1"},
    {"x": True},
    {"x": []},
    {"x": [None]},
    {"x": [1, "a", True]},
    {"x": [[1]]},
    {"x": {}},
    {"x": {"y": 1}},
    {"x": {"y": [1, 2]}},
    {"x": [{"y": 1}]},
    {"x.y": 1},
    {"x": "abc", "when": "2024-05-01T00:00:00Z"},
    {"x": "ABC", "when": "2025-01-01T00:00:00Z"},
    {"x": 2, "when": 2024},
]


def condition(field: str, operator: str, value: object) -> Condition:
    return Condition(field, Operator(operator), value)  # type: ignore[arg-type]


EXPECTED: list[tuple[Filter, set[int]]] = [
    (condition("x", "eq", 1), {2, 3, 8}),
    (Not(condition("x", "eq", 1)), set(range(18)) - {2, 3, 8}),
    (condition("x", "ne", 1), {4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17}),
    (condition("x", "eq", True), {5, 8}),
    (condition("x", "eq", "1"), {4}),
    (condition("x", "lt", 2), {2, 3, 8}),
    (condition("x", "gte", "1"), {4, 8, 15, 16}),
    (condition("x", "in", (1, "abc", False)), {2, 3, 8, 15}),
    (condition("x", "in", ()), set()),
    (condition("x", "contains", "b"), {15}),
    (condition("x", "contains", ""), {4, 8, 15, 16}),
    (condition("x", "prefix", "a"), {8, 15}),
    (condition("x", "exists", True), set(range(2, 14)) | {15, 16, 17}),
    (condition("x", "exists", False), {0, 1, 14}),
    (condition("x.y", "eq", 1), {11, 12}),
    (condition("x.y", "exists", True), {11, 12}),
    (condition("when", "gte", "2024-12-31T23:59:59Z"), {16}),
    (condition("$id", "eq", "r3"), {3}),
    (condition("$id", "gt", "r5"), {6, 7, 8, 9}),
    (condition("$document_id", "eq", "d0"), {0, 6, 12}),
    (condition("$document_id", "exists", False), set(range(18)) - {0, 3, 6, 9, 12, 15}),
    (condition("$document_id", "ne", "d0"), {3, 9, 15}),
    (All(()), set(range(18))),
    (Any(()), set()),
    (All((condition("x", "gt", 0), Not(condition("x", "eq", 2)))), {2, 3, 8}),
    (Any((condition("x", "eq", 2), condition("x", "eq", "ABC"))), {16, 17}),
]


@pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)
@pytest.mark.parametrize(
    ("where", "expected"), EXPECTED, ids=[str(number) for number in range(len(EXPECTED))]
)
def test_the_rules_by_example(
    collection: CollectionBackend, where: Filter, expected: set[int], road: Road
) -> None:
    records = fill(collection, SAMPLE)
    assert {f"r{number}" for number in expected} == {
        record.id for record in records if matches(where, record)
    }
    check(collection, records, where, road)


def test_any_text_of_a_list_counts(collection: CollectionBackend) -> None:
    """Wherever it stands in the list, and never two of them together."""
    records = fill(
        collection,
        [{"x": ["mango", "zebra", "apple", "lime", 1]}, {"x": "apple"}, {"x": ["a", "b"]}],
    )
    for value, starting, holding in (
        ("apple", {0, 1}, {0, 1}),
        ("lim", {0}, {0}),
        ("ang", set(), {0}),
        ("eapple", set(), set()),
        ("ab", set(), set()),
        ("b", {2}, {0, 2}),
    ):
        for operator, expected in (("prefix", starting), ("contains", holding)):
            where = condition("x", operator, value)
            assert by_scroll(collection, where) == {f"r{number}" for number in expected}
            check(collection, records, Not(where), by_scroll)
