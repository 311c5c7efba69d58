"""What of a collection can be changed, and how its indexes follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric
from groundwire_index.ann import BuildCancelledError
from groundwire_index.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    GroundwireError,
    InvalidArgumentError,
    NotFoundError,
)
from groundwire_index.records import CollectionChange, Record, SearchQuery

from tests.patience import PATIENCE_S
from tests.unit.index.samples import TENANT

DIMENSION = 8
COUNT = 2000
VECTORS = np.random.default_rng(5).standard_normal((COUNT, DIMENSION)).astype(np.float32)
QUERY = SearchQuery(VECTORS[0])


@pytest.fixture
def opened(folder: Path) -> Callable[..., Index]:
    return lambda **options: Index.open(folder / "i", background=False, **options)


@pytest.fixture
def index(opened: Callable[..., Index]) -> Iterator[Index]:
    with opened() as index:
        yield index


def filled(index: Index, **spec: object) -> Collection:
    index.create_collection(
        TENANT,
        CollectionSpec("c", Metric.COSINE, DIMENSION, **spec),  # type: ignore[arg-type]
    )
    collection = index.collection(TENANT, "c")
    collection.upsert([Record(str(number), vector) for number, vector in enumerate(VECTORS)])
    while collection.upkeep.build_index():
        pass
    return collection


def kinds(collection: Collection) -> list[tuple[str, dict[str, str]]]:
    entries = [ann.entry for ann in collection._store.writer.latest().anns]
    return [(entry.kind, dict(entry.parameters)) for entry in entries]


def strategy(collection: Collection) -> str:
    return collection.search(QUERY).plan.strategy


def test_a_description_is_changed_and_nothing_else(opened: Callable[..., Index]) -> None:
    with opened() as index:
        collection = filled(index, index_kind="sq8", description="before")
        info = index.update_collection(TENANT, "c", CollectionChange(description="after"))
        assert (info.spec.description, info.spec.index_kind) == ("after", "sq8")
        assert collection.info().spec.description == "after"
        assert not collection.upkeep.build_index()
    with opened() as index:
        assert index.collection(TENANT, "c").spec.description == "after"


def test_another_kind_is_built_while_the_former_answers(opened: Callable[..., Index]) -> None:
    with opened() as index:
        collection = filled(index, index_kind="sq8")
        index.update_collection(TENANT, "c", CollectionChange(index_kind="hnsw"))
        assert (kinds(collection), strategy(collection)) == ([("sq8", {})], "ann")
        assert collection.upkeep.build_index()
        assert (kinds(collection), strategy(collection)) == ([("hnsw", {})], "ann")
        assert not collection.upkeep.build_index()
    with opened() as index:
        assert kinds(index.collection(TENANT, "c")) == [("hnsw", {})]


def test_other_parameters_are_built_anew_too(index: Index) -> None:
    collection = filled(index, index_kind="hnsw")
    change = CollectionChange(index_kind="hnsw", index_parameters={"m": "8"})
    index.update_collection(TENANT, "c", change)
    assert collection.upkeep.build_index()
    assert kinds(collection) == [("hnsw", {"m": "8"})]


def test_a_change_survives_a_stop_before_the_index_is_built(opened: Callable[..., Index]) -> None:
    with opened() as index:
        filled(index, index_kind="sq8")
        index.update_collection(TENANT, "c", CollectionChange(index_kind="hnsw"))
    with opened() as index:
        collection = index.collection(TENANT, "c")
        assert kinds(collection) == [("sq8", {})]
        assert collection.upkeep.build_index()
        assert kinds(collection) == [("hnsw", {})]


@pytest.mark.parametrize("kind", ["flat", "auto"])
def test_where_no_index_is_wanted_the_former_one_goes(index: Index, kind: str) -> None:
    collection = filled(index, index_kind="sq8")
    index.update_collection(TENANT, "c", CollectionChange(index_kind=kind))
    assert collection.upkeep.build_index()
    assert (kinds(collection), strategy(collection)) == ([], "exact")
    assert not collection.upkeep.build_index()


def test_a_build_that_nobody_wants_any_more_ends(index: Index) -> None:
    collection = filled(index, index_kind="sq8")
    index.update_collection(TENANT, "c", CollectionChange(index_kind="hnsw"))

    def changed_meanwhile() -> bool:
        index.update_collection(TENANT, "c", CollectionChange(index_kind="flat"))
        return False

    with pytest.raises(BuildCancelledError):
        collection.upkeep.build_index(changed_meanwhile)
    assert kinds(collection) == [("sq8", {})]


def test_in_the_background_nobody_has_to_ask(opened: Callable[..., Index], folder: Path) -> None:
    with opened() as index:
        filled(index, index_kind="sq8")
    with Index.open(folder / "i") as index:
        collection = index.collection(TENANT, "c")
        assert strategy(collection) == "ann"
        index.update_collection(TENANT, "c", CollectionChange(index_kind="hnsw"))
        assert index._background.indexer is not None
        assert index._background.indexer.wait(PATIENCE_S)
        assert kinds(collection) == [("hnsw", {})]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (CollectionChange(description="x" * 1025), InvalidArgumentError),
        (CollectionChange(index_kind="tree"), InvalidArgumentError),
        (CollectionChange(index_kind="cagra"), FailedPreconditionError),
        (CollectionChange("new", "hnsw", {"m": "many"}), InvalidArgumentError),
        (CollectionChange(index_kind="flat", index_parameters={"m": "8"}), InvalidArgumentError),
    ],
)
def test_what_cannot_be_leaves_everything_as_it_is(
    index: Index, change: CollectionChange, error: type[GroundwireError]
) -> None:
    collection = filled(index, index_kind="sq8", description="before")
    before = collection.spec
    with pytest.raises(error):
        index.update_collection(TENANT, "c", change)
    assert collection.spec == index.list_collections(TENANT)[0].spec == before


def test_a_change_that_is_repeated_by_its_key_is_made_once(index: Index) -> None:
    filled(index)
    first = CollectionChange(description="first")
    index.update_collection(TENANT, "c", first, idempotency_key="k")
    index.update_collection(TENANT, "c", CollectionChange(description="second"))
    again = index.update_collection(TENANT, "c", first, idempotency_key="k")
    assert again.spec.description == "second"
    other = CollectionChange(description="other")
    with pytest.raises(AlreadyExistsError, match="idempotency key"):
        index.update_collection(TENANT, "c", other, idempotency_key="k")


def test_an_unknown_collection_is_not_found(index: Index) -> None:
    with pytest.raises(NotFoundError):
        index.update_collection(TENANT, "none", CollectionChange(description="x"))
