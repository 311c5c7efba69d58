"""Collections: made, listed, changed, named and deleted, each tenant by itself."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from groundwire_index import CollectionSpec, Fingerprint, Metric
from groundwire_index.backend import IndexBackend
from groundwire_index.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from groundwire_index.records import CollectionChange, SearchQuery

from tests.conformance.backend.conftest import Make, Reopen
from tests.unit.index.samples import Clock, document, ids, record, vector

SPEC = CollectionSpec(
    "Books-1.0_x",
    Metric.DOT,
    4,
    Fingerprint("model", "1", "mean", "q: ", "", 4, normalized=True),
    description='Ünï "code"',
)


def test_a_collection_is_as_it_was_asked_for(
    index: IndexBackend, tenant: str, clock: Clock
) -> None:
    made = index.create_collection(tenant, SPEC)
    assert (made.spec, made.records, made.sequence) == (SPEC, 0, 0)
    assert made.create_time == datetime.fromtimestamp(clock(), UTC)
    info = index.collection(tenant, SPEC.name).info()
    assert (info.spec, info.create_time) == (SPEC, made.create_time)
    assert index.collection(tenant, SPEC.name).spec == SPEC


def test_a_name_is_taken_once(index: IndexBackend, tenant: str) -> None:
    first = index.create_collection(tenant, SPEC, idempotency_key="k")
    assert index.create_collection(tenant, SPEC, idempotency_key="k").spec == first.spec
    with pytest.raises(AlreadyExistsError, match="just as it was asked for"):
        index.create_collection(tenant, SPEC)
    with pytest.raises(AlreadyExistsError) as raised:
        index.create_collection(tenant, CollectionSpec("c", Metric.DOT, 4), idempotency_key="k")
    assert raised.value.reason == "IDEMPOTENCY_KEY_REUSED"


def test_tenants_see_nothing_of_each_other(index: IndexBackend, tenant: str) -> None:
    others = [tenant, f"{tenant}2", f"{tenant}-c", f"{tenant} 'é\"\\"]
    for one in others:
        index.create_collection(one, CollectionSpec("c", Metric.COSINE, 3))
        index.collection(one, "c").upsert([record(one[:500])])
    for one in others:
        assert ids(index.collection(one, "c").scroll().records) == [one]
        assert [info.name for info in index.list_collections(one)] == ["c"]
    assert [one for one in index.tenants_with("c") if one.startswith(tenant)] == sorted(others)
    index.set_alias(others[0], "other", "c")
    # Other tests have tenants of their own on the same server.
    assert [one for one in index.tenants_with("other") if one.startswith(tenant)] == []
    with pytest.raises(NotFoundError):
        index.collection(others[1], "other")
    assert index.opened(others[1], "other") is None
    index.delete_collection(others[1], "c")
    assert index.list_collections(others[1]) == []
    assert len(index.list_collections(others[2])) == 1


def test_collections_are_listed_in_order_of_name(
    index: IndexBackend, tenant: str, make: Make
) -> None:
    for name in ("b", "A", "a", "b.1", "9"):
        make(name)
    names = [info.name for info in index.list_collections(tenant)]
    assert names == ["9", "A", "a", "b", "b.1"]
    assert [info.name for info in index.list_collections(tenant, after="A", limit=2)] == ["a", "b"]


def test_a_description_can_be_changed(index: IndexBackend, tenant: str, make: Make) -> None:
    collection = make()
    collection.upsert([record("a")])
    change = CollectionChange(description="new")
    assert index.update_collection(tenant, "c", change, idempotency_key="k").spec == collection.spec
    assert collection.spec.description == "new"
    index.update_collection(tenant, "c", CollectionChange(description="newer"))
    again = index.update_collection(tenant, "c", change, idempotency_key="k")
    assert (again.spec.description, again.records) == ("newer", 1)
    with pytest.raises(AlreadyExistsError):
        index.update_collection(tenant, "c", CollectionChange(description="x"), idempotency_key="k")
    with pytest.raises(InvalidArgumentError):
        index.update_collection(tenant, "c", CollectionChange(description="x" * 2000))
    with pytest.raises(NotFoundError):
        index.update_collection(tenant, "nobody", change)


def test_a_deleted_collection_is_gone(index: IndexBackend, tenant: str, make: Make) -> None:
    collection = make()
    collection.upsert([record("a"), record("b")])
    assert index.delete_collection(tenant, "c") == 2
    for call in (
        lambda: index.collection(tenant, "c"),
        lambda: index.delete_collection(tenant, "c"),
        collection.info,
        lambda: collection.upsert([record("c")]),
        lambda: collection.search(SearchQuery(vector(1, 0, 0))),
    ):
        with pytest.raises(NotFoundError, match='no collection "c"'):
            call()
    assert index.opened(tenant, "c") is None
    assert make().count().count == 0


def test_an_alias_stands_for_its_collection(index: IndexBackend, tenant: str, make: Make) -> None:
    make("one").upsert([record("1")])
    make("two").upsert([record("2")])
    info, previous = index.set_alias(tenant, "now", "one", idempotency_key="k")
    assert (info.name, info.aliases, previous) == ("one", ("now",), "")
    assert ids(index.collection(tenant, "now").scroll().records) == ["1"]
    with pytest.raises(FailedPreconditionError, match="has the alias now"):
        index.delete_collection(tenant, "one")
    with pytest.raises(AlreadyExistsError, match='alias of collection "one"'):
        index.create_collection(tenant, CollectionSpec("now", Metric.DOT, 3))
    with pytest.raises(AlreadyExistsError, match="is a collection"):
        index.set_alias(tenant, "one", "two")
    with pytest.raises(NotFoundError):
        index.set_alias(tenant, "now", "three")
    info, previous = index.set_alias(tenant, "now", "two")
    assert (info.name, previous) == ("two", "one")
    assert index.collection(tenant, "now") is index.opened(tenant, "two")
    assert index.collection(tenant, "one").info().aliases == ()
    assert index.set_alias(tenant, "now", "one", idempotency_key="k")[0].name == "two"
    assert index.delete_alias(tenant, "now") == "two"
    with pytest.raises(NotFoundError):
        index.delete_alias(tenant, "now")
    with pytest.raises(NotFoundError):
        index.collection(tenant, "now")


def test_everything_is_there_when_the_index_is_opened_again(reopen: Reopen, tenant: str) -> None:
    with reopen() as index:
        index.create_collection(tenant, CollectionSpec("c", Metric.COSINE, 3))
        collection = index.collection(tenant, "c")
        collection.replace_document(document("d"), [record("d#0", document_id="d")])
        written = collection.upsert([record("a", text="kept")], idempotency_key="k")
        collection.upsert([record("b")])
        collection.delete_ids(["b"])
        index.set_alias(tenant, "alias", "c")
        index.update_collection(tenant, "c", CollectionChange(description="told"))
        cursor = collection.scroll(limit=1).next_cursor
    with reopen() as index:
        collection = index.collection(tenant, "alias")
        assert (collection.info().sequence, collection.info().documents) == (4, 1)
        assert collection.spec.description == "told"
        assert ids(collection.scroll().records) == ["d#0", "a"]
        assert ids(collection.scroll(cursor=cursor).records) == ["a"]
        assert collection.upsert([record("a", text="kept")], idempotency_key="k") == written
        assert collection.upsert([record("c")]).sequence == 5
        assert ids(collection.scroll().records) == ["d#0", "a", "c"]


def test_what_is_deleted_can_be_purged(
    index: IndexBackend, tenant: str, make: Make, clock: Clock
) -> None:
    collection = make()
    collection.upsert([record("a"), record("b"), record("c")])
    collection.delete_ids(["a", "b"])
    clock.advance(2 * 3600)
    assert index.purge() >= 2
    assert ids(collection.scroll().records) == ["c"]
    assert collection.upsert([record("a")]).sequence == 3


def test_nothing_works_once_it_is_closed(reopen: Reopen, tenant: str) -> None:
    with ExitStack() as stack:
        index = stack.enter_context(reopen())
        index.create_collection(tenant, CollectionSpec("c", Metric.COSINE, 3))
        collection = index.collection(tenant, "c")
    for call in (
        lambda: index.collection(tenant, "c"),
        lambda: index.create_collection(tenant, CollectionSpec("d", Metric.COSINE, 3)),
        collection.info,
    ):
        with pytest.raises(FailedPreconditionError) as raised:
            call()
        assert raised.value.reason == "INDEX_CLOSED"
