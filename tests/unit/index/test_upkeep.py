"""Upkeep of a collection: in the background, when asked to, and no more once it is closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric
from groundwire_index.ann import BuildCancelledError
from groundwire_index.errors import NotFoundError
from groundwire_index.filters import Condition, Operator
from groundwire_index.records import Record
from groundwire_index.upkeep import Upkeep

from tests.patience import PATIENCE_S
from tests.unit.index.samples import TENANT

DIMENSION = 8
COUNT = 2000
VECTORS = np.random.default_rng(5).standard_normal((COUNT, DIMENSION)).astype(np.float32)
WORKS = [Upkeep.build_index, Upkeep.compact, Upkeep.index_field]


def filled(index: Index) -> Collection:
    spec = CollectionSpec("c", Metric.COSINE, DIMENSION, index_kind="hnsw")
    index.create_collection(TENANT, spec)
    collection = index.collection(TENANT, "c")
    collection.upsert([Record(str(n), one, metadata={"n": n}) for n, one in enumerate(VECTORS)])
    collection.count(Condition("n", Operator.EQ, 1))
    return collection


def test_what_is_due_is_done_in_the_background(folder: Path) -> None:
    with Index.open(folder, index_fields_from=0) as index:
        collection = filled(index)
        for indexer in (index._background.indexer, index._background.fields):
            assert indexer is not None
            assert indexer.wait(PATIENCE_S)
        assert not any(work(collection.upkeep) for work in WORKS)
        assert collection.info().indexed_fields == ("n",)


def test_without_a_background_it_is_done_when_asked_for(folder: Path) -> None:
    with Index.open(folder, background=False, index_fields_from=0) as index:
        collection = filled(index)
        collection.upkeep.tend()
        assert collection.info().indexed_fields == ()
        assert collection.upkeep.build_index()
        assert collection.upkeep.index_field()
        assert not any(work(collection.upkeep) for work in WORKS)


def test_what_is_being_done_to_a_deleted_collection_is_cancelled(folder: Path) -> None:
    with Index.open(folder, background=False) as index:
        collection = filled(index)

        def delete() -> bool:
            index.delete_collection(TENANT, "c")
            return False

        with pytest.raises(BuildCancelledError):
            collection.upkeep.build_index(delete)


@pytest.mark.parametrize("work", WORKS)
def test_a_deleted_collection_is_not_looked_after(
    folder: Path, work: Callable[[Upkeep], bool]
) -> None:
    with Index.open(folder, background=False) as index:
        collection = filled(index)
        index.delete_collection(TENANT, "c")
        with pytest.raises(NotFoundError):
            work(collection.upkeep)
