"""What is particular to the index in Milvus: what it refuses, and how it fails."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from groundwire_index import CollectionSpec, Metric, VectorType
from groundwire_index.errors import (
    FailedPreconditionError,
    GroundwireError,
    InvalidArgumentError,
    UnavailableError,
    UnsupportedError,
)
from groundwire_index.filters import Condition, Operator
from groundwire_index.milvus import MilvusIndex
from groundwire_index.milvus.catalog import CATALOG
from groundwire_index.milvus.collection import MilvusCollection
from groundwire_index.milvus.link import MilvusLink, Row
from groundwire_index.milvus.schema import DEAD, STATE
from groundwire_index.records import CollectionChange, Record, SearchMode, SearchQuery
from pymilvus import MilvusClient

from tests.conformance.milvus import LiteServer
from tests.patience import PATIENCE_S
from tests.unit.index.samples import Clock, document, ids, record, vector

T = TypeVar("T")

SPEC = CollectionSpec("c", Metric.COSINE, 3)


class FaultyLink(MilvusLink):
    """Fails when told to: before a request is sent, or when its answer is lost."""

    lose_request: str = ""
    lose_answer: str = ""

    def upsert(self, name: str, rows: Sequence[Row]) -> None:
        self._call("upsert", lambda: super(FaultyLink, self).upsert(name, rows))

    def create(self, name: str, spec: CollectionSpec) -> None:
        self._call("create", lambda: super(FaultyLink, self).create(name, spec))

    def drop(self, name: str) -> None:
        self._call("drop", lambda: super(FaultyLink, self).drop(name))

    def _call(self, name: str, call: Callable[[], None]) -> None:
        if self.lose_request == name:
            raise UnavailableError("the request was lost")
        call()
        if self.lose_answer == name:
            raise UnavailableError("the answer was lost")


class PausedLink(FaultyLink):
    """Holds up one reading of the catalog, once it is done, until it is let go."""

    pausing: bool = False

    def __init__(self, uri: str) -> None:
        super().__init__(uri, timeout_s=PATIENCE_S)
        self.has_read, self.let_go = threading.Event(), threading.Event()

    def in_order(
        self, name: str, where: str, fields: Sequence[str], limit: int | None = None
    ) -> list[Row]:
        rows = super().in_order(name, where, fields, limit)
        if self.pausing and name == CATALOG:
            self.pausing = False
            self.has_read.set()
            assert self.let_go.wait(PATIENCE_S)
        return rows


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiteServer]:
    """A server of one's own."""
    with LiteServer(tmp_path / "milvus") as server:
        yield server


@pytest.fixture
def faulty(server: LiteServer) -> FaultyLink:
    return FaultyLink(server.uri, timeout_s=PATIENCE_S)


@pytest.fixture
def index(faulty: FaultyLink, clock: Clock) -> Iterator[MilvusIndex]:
    with MilvusIndex(faulty, now=clock) as index:
        yield index


@pytest.fixture
def collection(index: MilvusIndex) -> MilvusCollection:
    index.create_collection("t", SPEC)
    return index.collection("t", "c")


QUERY = vector(1, 0, 0)


@pytest.mark.parametrize(
    ("call", "reason", "hint"),
    [
        (
            lambda i: i.collection("t", "c").search(
                SearchQuery(QUERY, "w", mode=SearchMode.HYBRID)
            ),
            "SEARCH_MODE_UNSUPPORTED",
            "use mode dense",
        ),
        (
            lambda i: i.collection("t", "c").search(SearchQuery(text="w", mode=SearchMode.LEXICAL)),
            "SEARCH_MODE_UNSUPPORTED",
            "use mode dense",
        ),
        (
            lambda i: i.collection("t", "c").search(SearchQuery(QUERY, exact=True)),
            "EXACT_UNSUPPORTED",
            "kind flat",
        ),
        (
            lambda i: i.collection("t", "c").search(SearchQuery(QUERY, nprobe=3)),
            "NPROBE_UNSUPPORTED",
            "use ef",
        ),
        (
            lambda i: i.create_collection("t", CollectionSpec("d", Metric.DOT, 3, None, "ivf_pq")),
            "INDEX_KIND_UNSUPPORTED",
            "auto, flat, hnsw",
        ),
        (
            lambda i: i.create_collection("t", replace(SPEC, vector_type=VectorType.FLOAT16)),
            "VECTOR_TYPE_UNSUPPORTED",
            "use float32",
        ),
        (
            lambda i: i.update_collection("t", "c", CollectionChange(index_kind="flat")),
            "INDEX_CHANGE_UNSUPPORTED",
            "switch an alias",
        ),
        (lambda i: i.snapshots.take("t", "c"), "SNAPSHOTS_UNSUPPORTED", "milvus-backup"),
        (lambda i: i.snapshots.page("t", collection="c"), "SNAPSHOTS_UNSUPPORTED", "embedded"),
        (lambda i: i.snapshots.incoming("t"), "SNAPSHOTS_UNSUPPORTED", "embedded"),
    ],
)
def test_what_it_cannot_do_is_refused_with_what_to_do_instead(
    index: MilvusIndex,
    collection: MilvusCollection,
    call: Callable[[MilvusIndex], object],
    reason: str,
    hint: str,
) -> None:
    with pytest.raises(UnsupportedError, match=hint) as raised:
        call(index)
    assert raised.value.reason == reason
    assert collection.info().sequence == 0


def test_a_flat_index_is_searched_exactly(index: MilvusIndex) -> None:
    index.create_collection("t", CollectionSpec("f", Metric.DOT, 3, index_kind="flat"))
    collection = index.collection("t", "f")
    collection.upsert([record("a", vector(1, 2, 3))])
    result = collection.search(SearchQuery(QUERY, exact=True))
    assert ([hit.score for hit in result.hits], result.plan.strategy) == ([1.0], "exact")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (Record("a", None, "é" * 32_768), "records[1].text"),
        (Record("a", None, "x", {"x": "y" * 65_530}), "records[1].metadata"),
        (Record("a", None, "x", {"x": "y" * 20_000}), "records[1].metadata"),
    ],
)
def test_what_milvus_has_no_room_for_is_named(
    collection: MilvusCollection, given: Record, field: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="at most 65,53") as raised:
        collection.upsert([record("b"), given])
    assert raised.value.violations[0].field == field
    assert collection.count().count == 0


def test_the_longest_text_fits(collection: MilvusCollection) -> None:
    text = "é" * 32_767 + "x"
    collection.upsert([Record("i" * 512, None, text, {"x": "y" * 15_000})])
    (read,) = collection.get(["i" * 512])
    assert read is not None
    assert read.text == text


def test_one_dimension_is_too_few(index: MilvusIndex) -> None:
    with pytest.raises(InvalidArgumentError, match="2 to 32,768"):
        index.create_collection("t", CollectionSpec("d", Metric.DOT, 1))


def test_a_server_that_is_down_is_unavailable_and_works_again(
    server: LiteServer, collection: MilvusCollection
) -> None:
    collection.upsert([record("a")])
    server.stop()
    for call in (
        collection.info,
        lambda: collection.upsert([record("b")]),
        lambda: collection.search(SearchQuery(QUERY)),
    ):
        with pytest.raises(UnavailableError) as raised:
            call()
        assert raised.value.reason == "MILVUS_UNAVAILABLE"
    server.start()
    assert ids(until_it_answers(collection.scroll).records) == ["a"]
    assert collection.upsert([record("b")]).sequence == 2


def test_a_write_that_was_not_sent_changes_nothing(
    collection: MilvusCollection, faulty: FaultyLink
) -> None:
    collection.upsert([record("a")])
    faulty.lose_request = "upsert"
    with pytest.raises(UnavailableError):
        collection.replace_document(document("d"), [Record("d#", QUERY)])
    faulty.lose_request = ""
    assert (collection.info().sequence, collection.document("d")) == (1, None)
    assert collection.upsert([record("b")]).sequence == 2


def test_a_write_whose_answer_was_lost_can_be_repeated(
    collection: MilvusCollection, faulty: FaultyLink
) -> None:
    faulty.lose_answer = "upsert"
    with pytest.raises(UnavailableError):
        collection.upsert([record("a")], idempotency_key="k")
    faulty.lose_answer = ""
    assert collection.count().sequence == 1
    collection.delete_ids(["a"])
    assert collection.upsert([record("a")], idempotency_key="k").sequence == 1
    assert collection.count().count == 0


@pytest.mark.parametrize("step", ["create", "upsert"])
@pytest.mark.parametrize("fault", ["lose_request", "lose_answer"])
def test_a_collection_that_was_not_made_leaves_nothing(
    server: LiteServer, index: MilvusIndex, faulty: FaultyLink, step: str, fault: str
) -> None:
    setattr(faulty, fault, step)
    with pytest.raises(UnavailableError):
        index.create_collection("t", SPEC)
    setattr(faulty, fault, "")
    assert index.list_collections("t") == []
    index.close()
    with MilvusIndex.open(server.uri) as again:
        assert collections_in(server) == {"groundwire_catalog"}
        again.create_collection("t", SPEC)
        again.collection("t", "c").upsert([record("a")])


@pytest.mark.parametrize("fault", ["lose_request", "lose_answer"])
def test_a_collection_that_was_not_dropped_is_gone_nevertheless(
    server: LiteServer,
    index: MilvusIndex,
    collection: MilvusCollection,
    faulty: FaultyLink,
    fault: str,
) -> None:
    collection.upsert([record("a")])
    setattr(faulty, fault, "drop")
    with pytest.raises(UnavailableError):
        index.delete_collection("t", "c")
    setattr(faulty, fault, "")
    assert index.list_collections("t") == []
    index.close()
    with MilvusIndex.open(server.uri) as again:
        assert again.list_collections("t") == []
        assert collections_in(server) == {"groundwire_catalog"}


def test_another_server_that_writes_is_noticed(
    server: LiteServer, collection: MilvusCollection
) -> None:
    collection.upsert([record("a")])
    with MilvusIndex.open(server.uri) as other:
        assert other.collection("t", "c").upsert([record("b")]).sequence == 2
    with pytest.raises(UnavailableError, match="Only one server") as raised:
        collection.upsert([record("c")])
    assert raised.value.reason == "CHANGED_ELSEWHERE"
    assert collection.upsert([record("c")]).sequence == 3
    assert ids(collection.scroll().records) == ["a", "b", "c"]


def test_a_purge_removes_dead_rows_and_old_answers(
    index: MilvusIndex, collection: MilvusCollection, faulty: FaultyLink, clock: Clock
) -> None:
    (name,) = {one for one in faulty._client.list_collections() if one != "groundwire_catalog"}
    collection.upsert([record("a"), record("b")], idempotency_key="old")
    clock.advance(25 * 3600)
    collection.delete_ids(["a"], idempotency_key="new")
    assert faulty.count(name, f"{STATE} == {DEAD}") == 1
    assert index.purge() == 2
    assert faulty.count(name, f"{STATE} == {DEAD}") == 0
    assert index.purge() == 0
    assert collection.delete_ids(["a"], idempotency_key="new").sequence == 2
    assert collection.upsert([record("c")], idempotency_key="old").sequence == 3


def test_a_write_about_too_many_records_is_refused(
    collection: MilvusCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundwire_index.milvus.draft.MAX_ROWS", 3)
    collection.upsert([record(key, metadata={"k": key}) for key in "abcd"])
    with pytest.raises(UnsupportedError, match="a part of them at a time") as raised:
        collection.delete_filter(Condition("k", Operator.EXISTS, True))
    assert raised.value.reason == "WRITE_TOO_LARGE"
    assert collection.delete_filter(Condition("k", Operator.LTE, "b")).count == 2


def test_a_file_is_opened_with_milvus_lite(tmp_path: Path) -> None:
    uri = str(tmp_path / "index.db")
    for round_ in range(2):
        with MilvusIndex.open(uri) as index:
            if not round_:
                index.create_collection("t", SPEC)
            written = index.collection("t", "c").upsert([record(str(round_))])
            assert written.sequence == round_ + 1


@pytest.mark.parametrize(
    ("uri", "kind", "said"),
    [
        ("http://127.0.0.1:1", UnavailableError, "127.0.0.1:1"),
        ("/nowhere/at/all/index.db", FailedPreconditionError, "/nowhere/at/all"),
        ("ftp://somewhere", FailedPreconditionError, "ftp://somewhere"),
    ],
)
def test_where_milvus_is_not_is_told(uri: str, kind: type[GroundwireError], said: str) -> None:
    with pytest.raises(kind, match=said):
        MilvusIndex.open(uri)


def test_what_to_install_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(FailedPreconditionError, match=r"pip install 'groundwire\[milvus\]'"):
        MilvusIndex.open("http://127.0.0.1:1")


def until_it_answers(call: Callable[[], T]) -> T:
    """gRPC connects again after a while: until then every call fails at once."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except UnavailableError:
            if time.monotonic() > deadline:
                raise


def collections_in(server: LiteServer) -> set[str]:
    client = MilvusClient(server.uri)
    try:
        return set(client.list_collections())
    finally:
        client.close()


def test_what_was_read_before_a_change_does_not_hide_it(server: LiteServer) -> None:
    link = PausedLink(server.uri)
    with MilvusIndex(link) as index, ThreadPoolExecutor(1) as pool:
        index.create_collection("t", SPEC)
        collection = index.collection("t", "c")
        link.lose_request = "upsert"
        with pytest.raises(UnavailableError):
            index.set_alias("t", "a", "c")  # After this, the catalog has to be read again.
        link.lose_request = ""
        link.pausing = True
        reading = pool.submit(collection.info)
        assert link.has_read.wait(PATIENCE_S)
        index.create_collection("t", replace(SPEC, name="new"))
        link.let_go.set()
        reading.result(PATIENCE_S)
        assert index.collection("t", "new").info().name == "new"
