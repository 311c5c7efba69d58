"""Vectors that a GPU compares: what is found is what the CPU finds, to the last digit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric, VectorType
from groundwire_index.filters import Condition, Operator
from groundwire_index.gpu import Gpus
from groundwire_index.records import CollectionChange, Record, SearchQuery

from tests.conformance.ann.corpus import clustered
from tests.stand_in_gpu import BROKEN, NO_MEMORY, raising
from tests.unit.gpu.conftest import Machine

TENANT = "t"
ROWS, DIMENSION = 12_000, 16
VECTORS, QUERIES = clustered(ROWS, DIMENSION, seed=41)
Opened = Callable[..., Index]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    def open_it(gpus: Gpus | None = None) -> Index:
        return Index.open(tmp_path / "i", background=False, gpus=gpus)

    return open_it


def filled(
    index: Index,
    metric: Metric = Metric.COSINE,
    kind: str = "flat",
    vector_type: VectorType = VectorType.FLOAT32,
) -> Collection:
    spec = CollectionSpec("c", metric, DIMENSION, index_kind=kind, vector_type=vector_type)
    index.create_collection(TENANT, spec)
    collection = index.collection(TENANT, "c")
    write(collection, VECTORS)
    return collection


def write(collection: Collection, vectors: np.ndarray, prefix: str = "") -> None:
    for start in range(0, len(vectors), 4_000):
        collection.upsert(
            [
                Record(f"{prefix}{number}", vectors[number], metadata={"third": number % 3})
                for number in range(start, min(start + 4_000, len(vectors)))
            ]
        )
    settle(collection)


def settle(collection: Collection) -> None:
    """Wait until everything is copied."""
    for held in collection._store.writer.latest().space.held.values():
        held._copy.loading.exception(20)  # type: ignore[attr-defined]


def asked(collection: Collection, **changes: object) -> list[list[tuple[str, float]]]:
    queries = [SearchQuery(vector, top_k=5, **changes) for vector in QUERIES[:40]]  # type: ignore[arg-type]
    results = collection.search_many(queries)
    return [[(hit.record.id, hit.score) for hit in result.hits] for result in results]


@pytest.mark.parametrize(
    ("metric", "vector_type"),
    [*((metric, VectorType.FLOAT32) for metric in Metric), (Metric.COSINE, VectorType.FLOAT16)],
)
def test_it_finds_what_the_cpu_finds(
    opened: Opened, machine: Machine, metric: Metric, vector_type: VectorType
) -> None:
    with opened() as index:
        expected = asked(filled(index, metric, vector_type=vector_type))
    with opened(machine.gpus) as index:
        collection = index.collection(TENANT, "c")
        asked(collection)
        settle(collection)
        machine.stand_in.searches.clear()
        assert asked(collection) == expected
        assert machine.stand_in.searches == [40]
        assert machine.stand_in.copied == ["points"]


FEW, MANY = (Condition("third", operator, 1) for operator in (Operator.EQ, Operator.NE))


@pytest.mark.parametrize("ignores", [False, True], ids=["kept to", "ignored"])
def test_what_is_deleted_or_filtered_out_is_not_found(
    opened: Opened, machine: Machine, ignores: bool
) -> None:
    with opened(machine.gpus) as index:
        collection = filled(index)
        gone = [row[0][0] for row in asked(collection)]
        collection.delete_ids(gone)
        machine.stand_in.searches.clear()
        machine.stand_in.ignores_filters = ignores
        many, every, few = (asked(collection, filter=one) for one in (MANY, None, FEW))
        # So few are compared by the CPU.
        assert machine.stand_in.searches == [40, 40]
        assert not {one for row in every for one, _ in row} & set(gone)
        assert all(int(one) % 3 != 1 for row in many for one, _ in row)
    with opened() as index:
        collection = index.collection(TENANT, "c")
        assert [asked(collection, filter=one) for one in (MANY, None, FEW)] == [many, every, few]


def test_what_came_later_is_found_beside_what_is_held(opened: Opened, machine: Machine) -> None:
    with opened(machine.gpus) as index:
        collection = filled(index)
        held = dict(collection._store.writer.latest().space.held)
        write(collection, QUERIES[:40], "new ")
        assert dict(collection._store.writer.latest().space.held) == held
        every, many = asked(collection), asked(collection, filter=MANY)
        assert [row[0][0] for row in every] == [f"new {one}" for one in range(40)]
        assert machine.stand_in.searches == [40, 40]
    with opened() as index:
        collection = index.collection(TENANT, "c")
        assert [asked(collection), asked(collection, filter=MANY)] == [every, many]


def test_a_segment_that_has_grown_is_copied_again(opened: Opened, machine: Machine) -> None:
    with opened(machine.gpus) as index:
        collection = filled(index)
        write(collection, VECTORS, "again ")
        (held,) = collection._store.writer.latest().space.held.values()
        assert held.count == 2 * ROWS
        assert len(machine.stand_in.copied) == 2


def test_where_rounding_could_hide_the_best_the_cpu_compares(
    opened: Opened, machine: Machine
) -> None:
    same = np.tile(VECTORS[:1], (ROWS, 1))
    same += np.random.default_rng(1).normal(0, 1e-4, same.shape).astype(np.float32)
    spec = CollectionSpec("c", Metric.COSINE, DIMENSION, index_kind="flat")
    with opened(machine.gpus) as index:
        index.create_collection(TENANT, spec)
        collection = index.collection(TENANT, "c")
        write(collection, same)
        machine.stand_in.changed = lambda positions: np.roll(positions, 1, axis=0)
        found = asked(collection)
        assert machine.stand_in.searches == [40]
    with opened() as index:
        assert asked(index.collection(TENANT, "c")) == found


@pytest.mark.parametrize("error", [NO_MEMORY, BROKEN], ids=str)
def test_where_a_gpu_fails_the_cpu_compares(
    opened: Opened, machine: Machine, error: Exception
) -> None:
    with opened(machine.gpus) as index:
        collection = filled(index)
        expected = asked(collection)
        machine.stand_in.before_search = raising(error)
        assert asked(collection) == expected
        assert len(machine.fallbacks) == 1


def test_what_a_gpu_names_wrongly_is_compared_by_the_cpu(opened: Opened, machine: Machine) -> None:
    def garbled(positions: np.ndarray) -> np.ndarray:
        positions[::3, 1] = positions[::3, 0]
        positions[1::3, 0] = -1
        positions[2::3, 0] = ROWS
        return positions

    with opened(machine.gpus) as index:
        collection = filled(index)
        expected = asked(collection)
        machine.stand_in.changed = garbled
        assert asked(collection) == expected


def test_only_collections_that_ask_for_it_are_held(opened: Opened, machine: Machine) -> None:
    with opened(machine.gpus) as index:
        collection = filled(index, kind="hnsw")
        assert machine.stand_in.copied == []
        index.update_collection(TENANT, "c", CollectionChange(index_kind="flat"))
        write(collection, QUERIES[:1], "new ")
        assert machine.stand_in.copied == ["points"]
        index.update_collection(TENANT, "c", CollectionChange(index_kind="sq8"))
        write(collection, QUERIES[1:2], "newer ")
        assert collection._store.writer.latest().space.held == {}
