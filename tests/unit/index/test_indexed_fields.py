"""Whatever is indexed, and however far, filters find what plain Python finds."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import (
    Collection,
    CollectionSpec,
    Index,
    Metric,
    Record,
    field_indexer,
    snapshot,
)
from groundwire_index import field_index as entries
from groundwire_index.ann import BuildCancelledError
from groundwire_index.field_indexer import MAX_FIELDS
from groundwire_index.filters import All, Condition, Filter, Not, Operator
from groundwire_index.records import Metadata, SearchQuery
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.index.oracle import matches
from tests.unit.index.random_filters import filters, metadata
from tests.unit.index.samples import TENANT, Clock

SPEC = CollectionSpec("c", Metric.EUCLIDEAN, 2)
IDS = [f"r{number}" for number in range(40)]


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows a block, a step of filling, or carried over, so that small collections have more."""
    monkeypatch.setattr(entries, "BLOCK", 8)
    monkeypatch.setattr(field_indexer, "SLICE", 3)
    monkeypatch.setattr(snapshot, "_FEW_NEW_ROWS", 10)


@pytest.fixture
def index(folder: Path) -> Iterator[Index]:
    with Index.open(folder, background=False, index_fields_from=0) as opened:
        opened.create_collection(TENANT, SPEC)
        yield opened


@pytest.fixture
def collection(index: Index) -> Collection:
    return index.collection(TENANT, "c")


def record(number: int, content: Metadata) -> Record:
    return Record(f"r{number}", np.array([number, 1], np.float32), "words", content)


def equal(field: str, value: str | float | bool) -> Condition:
    return Condition(field, Operator.EQ, value)


def fill(collection: Collection) -> None:
    while collection.upkeep.index_field():
        pass


class Model(RuleBasedStateMachine):
    """Writes, filters, and fields that are indexed step by step, with restarts."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.clock = Clock()
        self.expected: dict[str, Record] = {}
        self.scrolls: list[tuple[Filter, str, list[str]]] = []
        self.asked: list[Filter] = []

    @initialize()
    def create(self) -> None:
        self.open()
        self.index.create_collection(TENANT, SPEC)

    def open(self) -> None:
        self.index = Index.open(
            self.folder,
            now=self.clock,
            segment_bytes=64,
            background=False,
            index_fields_from=0,
        )

    @property
    def collection(self) -> Collection:
        return self.index.collection(TENANT, "c")

    def teardown(self) -> None:
        self.index.close()
        shutil.rmtree(self.folder)

    def found(self, where: Filter) -> list[str]:
        return [key for key, one in self.expected.items() if matches(where, one)]

    @rule(
        numbers=st.lists(st.integers(0, 39), min_size=1, max_size=12, unique=True),
        contents=st.lists(metadata, min_size=12, max_size=12),
    )
    def upsert(self, numbers: list[int], contents: list[Metadata]) -> None:
        batch = [record(number, one) for number, one in zip(numbers, contents, strict=False)]
        self.collection.upsert(batch)
        self.expected.update({one.id: one for one in batch})

    @rule(ids=st.lists(st.sampled_from(IDS), max_size=8))
    def delete(self, ids: list[str]) -> None:
        self.collection.delete_ids(ids)
        for key in ids:
            self.expected.pop(key, None)

    @rule(where=filters)
    def delete_matching(self, where: Filter) -> None:
        gone = self.found(where)
        decides = All((where, Condition("$id", Operator.PREFIX, "r")))
        assert self.collection.delete_filter(decides).count == len(gone)
        for key in gone:
            del self.expected[key]

    @rule(steps=st.integers(0, 5))
    def index_some(self, steps: int) -> None:
        left = iter(range(steps))
        with suppress(BuildCancelledError):
            while self.collection.upkeep.index_field(lambda: next(left, None) is None):
                pass

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.open()

    @rule()
    def purge(self) -> None:
        # What began before a purge cannot go on.
        self.scrolls.clear()
        self.clock.advance(4000)
        self.collection.upkeep.purge()

    @rule(where=filters)
    def ask(self, where: Filter) -> None:
        expected = self.found(where)
        for _ in range(2):
            assert self.collection.count(where).count == len(expected)
            query = SearchQuery(np.zeros(2, np.float32), top_k=1000, filter=where)
            assert {hit.id for hit in self.collection.search(query).hits} == set(expected)
        page = self.collection.scroll(where, limit=2)
        assert [one.id for one in page.records] == expected[:2]
        if page.next_cursor:
            self.scrolls.append((where, page.next_cursor, expected[2:]))
        self.asked = [where, *self.asked[:3]]

    @rule()
    def ask_again(self) -> None:
        for where in self.asked:
            self.ask(where)

    @rule()
    def go_on_scrolling(self) -> None:
        for where, cursor, expected in self.scrolls:
            page = self.collection.scroll(where, cursor=cursor, limit=1000)
            assert [one.id for one in page.records] == expected
        self.scrolls.clear()


@pytest.mark.usefixtures("small_steps")
class TestModel(Model.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=60, stateful_step_count=30)


def test_a_filter_asks_for_its_fields_and_then_they_are_indexed(collection: Collection) -> None:
    collection.upsert([record(number, {"n": number % 3}) for number in range(20)])
    assert collection.info().indexed_fields == ()
    collection.count(equal("n", 1))
    fill(collection)
    assert collection.info().indexed_fields == ("n",)


def test_small_collections_index_nothing(folder: Path) -> None:
    with Index.open(folder, background=False, index_fields_from=5) as index:
        index.create_collection(TENANT, SPEC)
        collection = index.collection(TENANT, "c")
        collection.upsert([record(number, {"n": 1}) for number in range(4)])
        collection.count(equal("n", 1))
        assert not collection.upkeep.index_field()
        collection.upsert([record(4, {"n": 1})])
        collection.count(equal("n", 1))
        assert collection.upkeep.index_field()


def test_what_is_searched_for_within_texts_is_not_indexed(collection: Collection) -> None:
    collection.count(Condition("body", Operator.CONTAINS, "word"))
    collection.count(equal("$id", "r1"))
    assert not collection.upkeep.index_field()


def test_a_collection_has_so_many_indexed_fields_and_no_more(
    index: Index, collection: Collection
) -> None:
    collection.upsert([record(number, {f"f{number}": number}) for number in range(20)])
    for number in range(20):
        collection.count(equal(f"f{number}", number))
    fill(collection)
    first = tuple(f"f{number}" for number in range(MAX_FIELDS))
    assert collection.info().indexed_fields == first
    assert collection.count(equal("f19", 19)).count == 1


def test_filling_goes_on_where_it_was_left(folder: Path) -> None:
    where = equal("n", 1)
    with Index.open(folder, background=False, index_fields_from=0) as index:
        index.create_collection(TENANT, SPEC)
        collection = index.collection(TENANT, "c")
        collection.upsert([record(number, {"n": 1}) for number in range(20)])
        collection.count(where)
        with pytest.raises(BuildCancelledError):
            collection.upkeep.index_field(lambda: True)
    with Index.open(folder, background=False, index_fields_from=0) as index:
        collection = index.collection(TENANT, "c")
        assert collection.info().indexed_fields == ()
        assert collection.count(where).count == 20
        steps: list[int] = []
        collection.upkeep.index_field(lambda: bool(steps.append(1)))
        # Of seven steps of three rows one was done, and after the last nobody asks.
        assert len(steps) == 5
        assert collection.info().indexed_fields == ("n",)


def test_the_same_filter_after_a_write_sees_the_write(collection: Collection) -> None:
    where = Not(equal("n", 1))
    for number in range(10):
        collection.upsert([record(number, {"n": 0})])
        assert collection.count(where).count == number + 1
        fill(collection)


@pytest.mark.usefixtures("small_steps")
def test_what_is_known_of_a_filter_follows_the_writes(folder: Path) -> None:
    where, clock = equal("n", 1), Clock()
    with Index.open(folder, now=clock, background=False) as index:
        index.create_collection(TENANT, SPEC)
        collection = index.collection(TENANT, "c")

        def count() -> int:
            return collection.count(where).count

        collection.upsert([record(number, {"n": number % 2}) for number in range(20)])
        assert count() == 10
        collection.upsert([record(number, {"n": 1}) for number in (0, 1, 30)])
        assert count() == 12
        collection.delete_ids(["r0", "r2", "r3"])
        assert count() == 10
        collection.delete_ids(["r5"])
        clock.advance(4000)
        collection.upkeep.purge()
        assert count() == 9
        collection.upsert([record(number, {"n": 1}) for number in range(40, 80)])
        assert count() == 49


def test_filters_that_python_calls_equal_are_told_apart(collection: Collection) -> None:
    collection.upsert([record(0, {"n": 1}), record(1, {"n": True}), record(2, {"n": 1.0})])
    for _ in range(2):
        assert collection.count(equal("n", True)).count == 1
        assert collection.count(equal("n", 1)).count == 2
        fill(collection)
