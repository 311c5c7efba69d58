"""A name that stands for a collection, and can be switched to another at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric
from groundwire_index.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)

from tests.unit.index.samples import TENANT, record

Make = Callable[..., Collection]


def holding(make: Make, name: str, *ids: str) -> Collection:
    collection = make(name)
    if ids:
        collection.upsert([record(one) for one in ids])
    return collection


def test_an_alias_stands_for_its_collection(index: Index, make: Make) -> None:
    holding(make, "books-1", "a")
    info, previous = index.set_alias(TENANT, "books", "books-1")
    assert (info.name, info.aliases, previous) == ("books-1", ("books",), "")
    assert index.collection(TENANT, "books") is index.collection(TENANT, "books-1")
    assert index.opened(TENANT, "books") is index.collection(TENANT, "books-1")
    assert index.collection(TENANT, "books").info().aliases == ("books",)
    assert [one.name for one in index.list_collections(TENANT)] == ["books-1"]


def test_a_switch_shows_the_other_collection_at_once(index: Index, make: Make) -> None:
    holding(make, "books-1", "old")
    holding(make, "books-2", "new")
    index.set_alias(TENANT, "books", "books-1")
    info, previous = index.set_alias(TENANT, "books", "books-2")
    assert (info.name, previous) == ("books-2", "books-1")
    assert index.collection(TENANT, "books").get(["new"]) != [None]
    assert index.collection(TENANT, "books-1").info().aliases == ()


def test_whoever_searches_during_switches_sees_one_collection_or_the_other(
    index: Index, make: Make
) -> None:
    holding(make, "books-1", "a")
    holding(make, "books-2", "a")
    index.set_alias(TENANT, "books", "books-1")
    failures: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                assert index.collection(TENANT, "books").count().count == 1
            except Exception as error:  # noqa: BLE001 - told to the test
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        index.set_alias(TENANT, "books", "books-2")
        index.set_alias(TENANT, "books", "books-1")
    done.set()
    reader.join()
    assert failures == []


def test_aliases_are_there_after_a_restart(folder: Path) -> None:
    spec = CollectionSpec("books-1", Metric.COSINE, 3)
    with Index.open(folder / "i") as index:
        index.create_collection(TENANT, spec)
        index.set_alias(TENANT, "books", "books-1")
        index.set_alias(TENANT, "old", "books-1")
        index.delete_alias(TENANT, "old")
    with Index.open(folder / "i") as index:
        assert index.collection(TENANT, "books").info().aliases == ("books",)
        with pytest.raises(NotFoundError, match="old"):
            index.collection(TENANT, "old")


def test_an_alias_of_an_alias_is_one_of_the_collection(index: Index, make: Make) -> None:
    holding(make, "books-1")
    index.set_alias(TENANT, "books", "books-1")
    info, _ = index.set_alias(TENANT, "library", "books")
    assert (info.name, info.aliases) == ("books-1", ("books", "library"))


def test_a_name_means_one_thing(index: Index, make: Make) -> None:
    holding(make, "books-1")
    holding(make, "taken")
    index.set_alias(TENANT, "books", "books-1")
    with pytest.raises(AlreadyExistsError, match='"taken" is a collection'):
        index.set_alias(TENANT, "taken", "books-1")
    with pytest.raises(AlreadyExistsError, match='"books" is an alias of collection "books-1"'):
        make("books")
    with pytest.raises(InvalidArgumentError, match="alias"):
        index.set_alias(TENANT, "no/name", "books-1")
    with pytest.raises(NotFoundError, match="none"):
        index.set_alias(TENANT, "books", "none")


def test_tenants_have_their_own(index: Index, make: Make) -> None:
    holding(make, "books-1")
    index.set_alias(TENANT, "books", "books-1")
    with pytest.raises(NotFoundError):
        index.collection("other", "books")
    with pytest.raises(NotFoundError):
        index.delete_alias("other", "books")


@pytest.mark.parametrize("name", ["books", "books-1"])
def test_what_an_alias_points_to_is_not_deleted(index: Index, make: Make, name: str) -> None:
    holding(make, "books-1", "a")
    index.set_alias(TENANT, "books", "books-1")
    with pytest.raises(FailedPreconditionError, match="has the alias books") as refused:
        index.delete_collection(TENANT, name)
    assert refused.value.reason == "COLLECTION_HAS_ALIASES"
    assert index.delete_alias(TENANT, "books") == "books-1"
    assert index.delete_collection(TENANT, "books-1") == 1


def test_a_switch_that_is_repeated_by_its_key_is_made_once(index: Index, make: Make) -> None:
    holding(make, "one")
    holding(make, "two")
    index.set_alias(TENANT, "a", "one", idempotency_key="k")
    index.set_alias(TENANT, "a", "two")
    info, _ = index.set_alias(TENANT, "a", "one", idempotency_key="k")
    assert info.name == "two"
    with pytest.raises(AlreadyExistsError, match="idempotency key"):
        index.set_alias(TENANT, "b", "one", idempotency_key="k")
