"""Collections whose indexes a GPU builds and searches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric
from groundwire_index.ann import families
from groundwire_index.errors import FailedPreconditionError
from groundwire_index.gpu import Gpus, faiss_device, open_gpus
from groundwire_index.gpu.running import RunningGpus
from groundwire_index.records import CollectionChange, Record, SearchQuery

from tests.conformance.ann.corpus import Pieces
from tests.stand_in_gpu import NO_MEMORY, raising
from tests.unit.gpu.conftest import DIMENSION, QUERIES, VECTORS, Machine, loading

TENANT = "t"
QUERY = SearchQuery(QUERIES[0])


def filled(index: Index, kind: str = "cagra", **parameters: str) -> Collection:
    spec = CollectionSpec(
        "c", Metric.COSINE, DIMENSION, index_kind=kind, index_parameters=parameters
    )
    index.create_collection(TENANT, spec)
    collection = index.collection(TENANT, "c")
    collection.upsert([Record(str(number), vector) for number, vector in enumerate(VECTORS)])
    built(collection)
    return collection


def built(collection: Collection) -> None:
    while collection.upkeep.build_index():
        pass
    for view in collection._store.writer.latest().anns:
        if hasattr(view._ann, "_copy") and hasattr(view._ann._copy, "loading"):
            loading(view._ann)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[Gpus | None], Index]:
    return lambda gpus: Index.open(tmp_path / "i", background=False, gpus=gpus)


Opened = Callable[[Gpus | None], Index]


def hits(collection: Collection, *, exact: bool = False) -> list[tuple[str, float]]:
    result = collection.search(SearchQuery(QUERIES[0], exact=exact))
    return [(hit.record.id, hit.score) for hit in result.hits]


def test_a_graph_is_linked_and_searched_by_the_gpu(opened: Opened, machine: Machine) -> None:
    with opened(machine.gpus) as index:
        collection = filled(index, graph_degree="32")
        assert machine.stand_in.linked == [len(VECTORS)]
        assert hits(collection) == hits(collection, exact=True)
        assert collection.search(QUERY).plan.strategy == "ann"
        assert machine.stand_in.searches == [1, 1]
        assert machine.fallbacks == []


def test_classical_codes_are_searched_by_the_gpu(opened: Opened, machine: Machine) -> None:
    with opened(machine.gpus) as index:
        collection = filled(index, "ivf_pq", codes="pq", bits="8")
        assert hits(collection) == hits(collection, exact=True)
        assert machine.stand_in.copied == ["IndexIVFPQ"]
        assert machine.stand_in.searches == [1]
        assert len(machine.stand_in.trained) == 1


def test_codes_are_the_same_whoever_has_them_learn(
    opened: Opened, machine: Machine, tmp_path: Path
) -> None:
    files = []
    for family, name in ((families(), "cpu"), (families(train=machine.gpus.train), "gpu")):
        path = tmp_path / name
        family["ivf_pq"].build(Pieces(VECTORS), Metric.COSINE, {"codes": "pq"}, path, lambda: False)
        files.append(path.read_bytes())
    assert files[0] == files[1]
    assert len(machine.stand_in.trained) == 1


def test_where_the_gpu_cannot_train_the_cpu_does(opened: Opened, machine: Machine) -> None:
    machine.stand_in.before_train = raising(NO_MEMORY)
    with opened(machine.gpus) as index:
        collection = filled(index, "ivf_pq", codes="pq")
        assert machine.fallbacks == ["out_of_memory"]
        assert hits(collection) == hits(collection, exact=True)


def test_what_is_deleted_is_not_found_on_the_gpu(opened: Opened, machine: Machine) -> None:
    with opened(machine.gpus) as index:
        collection = filled(index)
        best = hits(collection)[0][0]
        collection.delete_ids([best])
        assert best not in dict(hits(collection))
        assert hits(collection) == hits(collection, exact=True)
        assert machine.stand_in.searches == [1, 1, 1]


def test_where_the_gpu_cannot_link_the_cpu_does(opened: Opened, machine: Machine) -> None:
    machine.stand_in.before_link = raising(NO_MEMORY)
    with opened(machine.gpus) as index:
        collection = filled(index)
        assert machine.fallbacks == ["out_of_memory"]
        assert hits(collection) == hits(collection, exact=True)
        assert machine.stand_in.searches == [1]


def test_a_machine_without_a_gpu_serves_what_was_built_on_one(
    opened: Opened, machine: Machine
) -> None:
    with opened(machine.gpus) as index:
        expected = hits(filled(index))
    with opened(None) as index:
        collection = index.collection(TENANT, "c")
        assert hits(collection) == expected
        assert collection.search(QUERY).plan.strategy == "ann"
        index.update_collection(TENANT, "c", CollectionChange(description="still here"))
        collection.upsert([Record(f"new {one}", vector) for one, vector in enumerate(VECTORS)])
        built(collection)
        kinds = {ann.entry.kind for ann in collection._store.writer.latest().anns}
        assert kinds == {"cagra"}
        assert len(hits(collection)) == len(expected)


def test_a_kind_that_needs_a_gpu_is_refused_without_one(opened: Opened) -> None:
    spec = CollectionSpec("c", Metric.COSINE, 3, index_kind="cagra")
    with opened(None) as index:
        with pytest.raises(FailedPreconditionError, match=r"index_gpu is off.*hnsw") as caught:
            index.create_collection(TENANT, spec)
        assert caught.value.reason == "GPU_NOT_FOUND"
        filled(index, "flat")
        with pytest.raises(FailedPreconditionError, match="needs a GPU"):
            index.update_collection(TENANT, "c", CollectionChange(index_kind="cagra"))


def test_this_machine_says_why_it_has_no_gpu(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    fallbacks: list[str] = []
    gpus = open_gpus([0], 2**30, fallbacks.append)
    if not gpus.why_none:
        pytest.skip("it has one")
    assert "groundwire[gpu]" in gpus.why_none or "no NVIDIA GPU" in gpus.why_none
    assert caplog.messages == [f"index_gpu: {gpus.why_none}; the CPU does the work"]
    caplog.clear()
    assert open_gpus(None, 2**30, fallbacks.append).why_none == gpus.why_none
    assert caplog.messages == []


@pytest.fixture
def gpu_build(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has FAISS say that it is a GPU build, with so many GPUs."""

    def become(devices: int, *, cuvs: bool = True) -> None:
        monkeypatch.setattr(faiss_device, "has_cuvs", lambda: cuvs)
        monkeypatch.setattr(faiss, "get_num_gpus", lambda: devices)

    return become


Build = Callable[..., None]


def test_gpus_that_are_there_are_taken_all_or_by_number(gpu_build: Build) -> None:
    gpu_build(2)
    for numbers, count in ((None, 2), ([1], 1)):
        gpus = open_gpus(numbers, 2**30, str)
        assert isinstance(gpus, RunningGpus)
        assert len(gpus._gpus) == count
        gpus.close()


def test_what_is_missing_for_a_gpu_is_named(gpu_build: Build) -> None:
    gpu_build(2)
    assert "there is no GPU 2, only 2" in open_gpus([0, 2], 2**30, str).why_none
    gpu_build(0)
    assert "no NVIDIA GPU" in open_gpus(None, 2**30, str).why_none
    gpu_build(1, cuvs=False)
    assert "no cuVS" in open_gpus(None, 2**30, str).why_none


def test_many_search_at_once_and_each_finds_its_own(opened: Opened, machine: Machine) -> None:
    with opened(machine.gpus) as index:
        collection = filled(index)
        found = collection.search_many([SearchQuery(vector, top_k=1) for vector in VECTORS[:64]])
        assert [result.hits[0].record.id for result in found] == [str(one) for one in range(64)]
        assert machine.stand_in.searches == [64]
        assert np.isclose(found[0].hits[0].score, 1.0)
