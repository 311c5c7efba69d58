"""Collections: made, found, listed and deleted, each tenant its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from groundwire_index import Collection, CollectionSpec, CollectionState, Fingerprint, Index, Metric
from groundwire_index.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)

from tests.unit.index.samples import TENANT, Clock, record, vector

SPEC = CollectionSpec("books", Metric.COSINE, 3)
FINGERPRINT = Fingerprint("mini", "r1", "mean", "", "", 3, True)


def names(index: Index, tenant: str = TENANT, **page: object) -> list[str]:
    return [info.name for info in index.list_collections(tenant, **page)]  # type: ignore[arg-type]


def test_a_new_collection_is_empty_and_ready(index: Index) -> None:
    spec = replace(SPEC, fingerprint=FINGERPRINT, description="Bücher")
    info = index.create_collection(TENANT, spec)
    assert info.spec == spec
    assert (info.records, info.vectors, info.documents, info.sequence) == (0, 0, 0, 0)
    assert info.state is CollectionState.READY
    again = index.collection(TENANT, "books").info()
    assert replace(again, disk_bytes=0) == replace(info, disk_bytes=0)
    assert index.collection(TENANT, "books").spec == spec


def test_everything_about_a_collection_is_there_after_reopening(folder: Path) -> None:
    spec = replace(SPEC, metric=Metric.EUCLIDEAN, fingerprint=FINGERPRINT, description="x")
    with Index.open(folder) as index:
        index.create_collection(TENANT, spec)
        index.collection(TENANT, "books").upsert([record("a", vector(1, 2, 3), "text")])
        before = index.collection(TENANT, "books").info()
    with Index.open(folder) as index:
        after = index.collection(TENANT, "books").info()
    assert replace(after, disk_bytes=0) == replace(before, disk_bytes=0)
    assert (after.records, after.vectors, after.sequence) == (1, 1, 1)
    assert after.disk_bytes > 0


def test_tenants_do_not_see_each_other(index: Index) -> None:
    index.create_collection("acme", SPEC)
    index.create_collection("other", SPEC)
    index.collection("acme", "books").upsert([record("a")])
    assert index.collection("other", "books").count().count == 0
    index.delete_collection("other", "books")
    assert names(index, "acme") == ["books"]
    assert names(index, "other") == []
    with pytest.raises(NotFoundError, match="books"):
        index.collection("other", "books")


def test_a_name_is_taken_once(index: Index) -> None:
    index.create_collection(TENANT, SPEC)
    with pytest.raises(AlreadyExistsError, match=r"books.* just as it was asked for"):
        index.create_collection(TENANT, SPEC)


def test_a_name_that_is_taken_is_told_with_everything_that_differs(index: Index) -> None:
    index.create_collection(TENANT, replace(SPEC, fingerprint=FINGERPRINT))
    other = replace(SPEC, metric=Metric.DOT, dimension=4, index_kind="flat", description="new")
    with pytest.raises(AlreadyExistsError) as refused:
        index.create_collection(TENANT, other)
    assert refused.value.message == (
        'collection "books" is there already, with metric cosine instead of dot, dimension 3 '
        'instead of 4, embedder "mini" instead of "none", index kind "auto" instead of "flat", '
        'description "" instead of "new": use it as it is, choose another name, or delete it first'
    )
    assert refused.value.metadata["differs_in"] == (
        "metric, dimension, embedder, index kind, description"
    )


def test_another_revision_of_the_same_embedder_is_told_apart(index: Index) -> None:
    index.create_collection(TENANT, replace(SPEC, fingerprint=FINGERPRINT))
    newer = replace(SPEC, fingerprint=replace(FINGERPRINT, revision="r2"))
    with pytest.raises(AlreadyExistsError, match="with embedder revision 'r1' instead of 'r2':"):
        index.create_collection(TENANT, newer)


def test_creating_again_with_the_same_key_gives_the_first_answer(index: Index) -> None:
    first = index.create_collection(TENANT, SPEC, idempotency_key="k")
    index.collection(TENANT, "books").upsert([record("a")])
    again = index.create_collection(TENANT, SPEC, idempotency_key="k")
    assert replace(again, disk_bytes=0) == replace(first, disk_bytes=0)
    with pytest.raises(AlreadyExistsError, match='"k"'):
        index.create_collection(TENANT, replace(SPEC, dimension=4), idempotency_key="k")


def test_a_key_is_forgotten_after_a_day(index: Index, clock: Clock) -> None:
    index.create_collection(TENANT, SPEC, idempotency_key="k")
    clock.advance(25 * 3600)
    index.create_collection(TENANT, replace(SPEC, name="other"))
    assert index.create_collection(TENANT, replace(SPEC, name="third"), idempotency_key="k")


def test_a_key_that_came_while_the_clock_was_ahead_is_forgotten_in_time(
    index: Index, clock: Clock
) -> None:
    clock.advance(10**8)
    index.create_collection(TENANT, SPEC, idempotency_key="k")
    clock.advance(-(10**8))
    index.create_collection(TENANT, replace(SPEC, name="second"))
    assert index.create_collection(TENANT, SPEC, idempotency_key="k").name == "books"
    clock.advance(24 * 3600 + 1)
    index.create_collection(TENANT, replace(SPEC, name="third"))
    assert index.create_collection(TENANT, replace(SPEC, name="fourth"), idempotency_key="k")


def test_collections_are_listed_by_name_page_by_page(index: Index) -> None:
    for name in ("c", "a", "B", "b"):
        index.create_collection(TENANT, replace(SPEC, name=name))
    assert names(index, limit=10) == ["B", "a", "b", "c"]
    assert names(index, limit=2) == ["B", "a"]
    assert names(index, after="a", limit=2) == ["b", "c"]


def test_listing_shows_sizes(index: Index, make: Callable[..., Collection]) -> None:
    make("a").upsert([record("1"), record("2", text="only words")])
    (info,) = index.list_collections(TENANT)
    assert (info.records, info.vectors) == (2, 1)


def test_deleting_says_how_many_records_there_were(index: Index, collection: Collection) -> None:
    collection.upsert([record("a"), record("b")])
    collection.delete_ids(["a"])
    assert index.delete_collection(TENANT, "c") == 1
    with pytest.raises(NotFoundError):
        index.delete_collection(TENANT, "c")


def test_a_deleted_collection_is_not_found_by_those_who_still_hold_it(
    index: Index, collection: Collection
) -> None:
    collection.upsert([record("a")])
    index.delete_collection(TENANT, "c")
    for call in (collection.info, collection.count, lambda: collection.upsert([record("b")])):
        with pytest.raises(NotFoundError, match='"c"'):
            call()


def test_a_name_can_be_used_again_and_starts_empty(
    index: Index, make: Callable[..., Collection]
) -> None:
    make().upsert([record("a")])
    index.delete_collection(TENANT, "c")
    again = make(dimension=2)
    assert again.count().count == 0
    again.upsert([record("a", vector(1, 2))])
    assert again.info().sequence == 1


def test_a_closed_index_says_so(folder: Path) -> None:
    index = Index.open(folder)
    index.create_collection(TENANT, SPEC)
    collection = index.collection(TENANT, "books")
    index.close()
    for call in (collection.count, lambda: index.collection(TENANT, "books")):
        with pytest.raises(FailedPreconditionError, match="closed"):
            call()


@pytest.mark.parametrize("name", ["", ".hidden", "-a", "a b", "a/b", "ä", "x" * 129, "a\n"])
def test_bad_names_are_refused(index: Index, name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        index.create_collection(TENANT, replace(SPEC, name=name))
    assert caught.value.violations[0].field == "name"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"dimension": 0}, "dimension"),
        ({"dimension": 65_537}, "dimension"),
        ({"dimension": 4, "fingerprint": FINGERPRINT}, "dimension"),
        ({"description": "x" * 1025}, "description"),
        ({"index_kind": "magic"}, "index.kind"),
        ({"index_parameters": {"m": "16"}}, "index.parameters.m"),
        ({"index_kind": "flat", "index_parameters": {"m": "16"}}, "index.parameters.m"),
    ],
)
def test_bad_specs_are_refused(index: Index, change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        index.create_collection(TENANT, replace(SPEC, **change))  # type: ignore[arg-type]
    assert caught.value.violations[0].field == field
    assert names(index) == []


def test_many_collections_keep_few_files_open(
    index: Index, make: Callable[..., Collection]
) -> None:
    before = open_files()
    for number in range(40):
        make(f"c{number}").upsert([record("a")])
    # Each has its vectors mapped; a database has three files, and 32 of them are kept open.
    assert open_files() - before <= 40 + 3 * 32


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
