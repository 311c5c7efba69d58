"""One set of rules for filters, on every road that takes one.

Each road turns a filter into the ids of the records that pass. A new backend, or a new kind of
dense index, joins by adding its road here: one that ignores filters, or bends a rule, fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric, Record, SearchMode
from groundwire_index.filters import All, Any, Condition, Filter, Not, Operator
from groundwire_index.records import JsonValue, SearchQuery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.index.oracle import matches

Road = Callable[[Collection, Filter], set[str]]

QUERY = np.array([1, 2], np.float32)


def by_scroll(collection: Collection, where: Filter) -> set[str]:
    return {record.id for record in collection.scroll(where, limit=1000).records}


def by_search(mode: SearchMode) -> Road:
    def search(collection: Collection, where: Filter) -> set[str]:
        query = SearchQuery(QUERY, "words", 1000, mode, where)
        return {hit.id for hit in collection.search(query).hits}

    return search


def by_batch(collection: Collection, where: Filter) -> set[str]:
    both = [SearchQuery(QUERY, top_k=1000), SearchQuery(QUERY, top_k=1000, filter=where)]
    return {hit.id for hit in collection.search_many(both)[1].hits}


def by_deleting(collection: Collection, where: Filter) -> set[str]:
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


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    path: Path = tmp_path_factory.mktemp("index")
    with Index.open(path, segment_bytes=64) as index:
        index.create_collection("t", CollectionSpec("c", Metric.EUCLIDEAN, 2))
        yield index.collection("t", "c")


def fill(collection: Collection, metadata: list[dict[str, JsonValue]]) -> list[Record]:
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


def check(collection: Collection, records: list[Record], where: Filter, road: Road) -> None:
    expected = {record.id for record in records if matches(where, record)}
    assert road(collection, where) == expected
    if road is not by_deleting:
        assert collection.count(where).count == len(expected)


KEYS = [
    "a",
    "b",
    "a.b",
    "",
    'q"uote',
    "back\\slash",
    "tab\t",
    "ключ",
    "$id",
    "[0]",
    "x'y",
    "*",
    " ",
]
TEXTS = ["", "a", "A", "ab", "abc", "b", "ä", "z", "\uffff", "\U0001f98a", "é", "1", "true", "%_"]
NUMBERS = [0, 1, -1, 2, 1.0, 1.5, -0.0, 0.1, 0.1 + 0.2, 0.3, 1e22, 5e-324, 2**53, 2**53 + 1, 2**62]

scalars = st.one_of(
    st.sampled_from(TEXTS),
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=4),
    st.sampled_from(NUMBERS),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
values = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=5,
)
metadata = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
paths = st.one_of(
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(".".join).filter(bool),
    st.sampled_from(["$id", "$document_id"]),
)
ordered = scalars.filter(lambda value: not isinstance(value, bool))
texts = st.sampled_from([*TEXTS, "r1", "d"]) | st.text(max_size=2).filter(
    lambda text: text.isprintable()
)
conditions = st.one_of(
    st.builds(Condition, paths, st.sampled_from([Operator.EQ, Operator.NE]), scalars),
    st.builds(
        Condition,
        paths,
        st.sampled_from([Operator.LT, Operator.LTE, Operator.GT, Operator.GTE]),
        ordered,
    ),
    st.builds(Condition, paths, st.just(Operator.IN), st.lists(scalars, max_size=4).map(tuple)),
    st.builds(Condition, paths, st.sampled_from([Operator.CONTAINS, Operator.PREFIX]), texts),
    st.builds(Condition, paths, st.just(Operator.EXISTS), st.booleans()),
)
filters: st.SearchStrategy[Filter] = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: Any(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=6,
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    metadata=st.lists(metadata, min_size=1, max_size=12),
    wheres=st.lists(filters, min_size=1, max_size=6),
)
def test_filters_agree_with_plain_python(
    collection: Collection, metadata: list[dict[str, JsonValue]], wheres: list[Filter]
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
    collection: Collection, where: Filter, expected: set[int], road: Road
) -> None:
    records = fill(collection, SAMPLE)
    assert {f"r{number}" for number in expected} == {
        record.id for record in records if matches(where, record)
    }
    check(collection, records, where, road)
