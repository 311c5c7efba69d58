"""What `FaissDevice` asks of a GPU. Where there is none, only what can go wrong before is tested.

`tests/conformance/ann` runs over the same device, and over one that stands in for it.
"""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from groundwire_index.ann import Asked, linked_by_cpu
from groundwire_index.gpu.device import DeviceError
from groundwire_index.gpu.faiss_device import FaissDevice, device_errors

from tests.conformance.ann.corpus import clustered
from tests.stand_in_gpu import needs_gpu

ROWS, WIDTH, DEGREE = 5_000, 32, 64
POINTS, QUERIES = clustered(ROWS, WIDTH, seed=31)
EVEN = np.packbits(np.arange(ROWS) % 2 == 0, bitorder="little")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("std::bad_alloc"), "out_of_memory"),
        (RuntimeError("alloc fail dev 0 (cudaMalloc error out of memory [2])"), "out_of_memory"),
        (RuntimeError("CUDA memory allocation error"), "out_of_memory"),
        (RuntimeError("CUDA error 700"), "failed"),
    ],
)
def test_errors_of_faiss_are_told_apart(error: Exception, reason: str) -> None:
    with pytest.raises(DeviceError) as caught, device_errors():
        raise error
    assert caught.value.reason == reason


@pytest.fixture(scope="module")
def device() -> FaissDevice:
    return FaissDevice(0)


def exact(allowed: np.ndarray | None = None) -> np.ndarray:
    flat = faiss.IndexFlatL2(WIDTH)
    flat.add(POINTS)
    selector = None if allowed is None else faiss.IDSelectorBitmap(allowed)
    return flat.search(QUERIES, 10, params=faiss.SearchParameters(sel=selector))[1]


def share(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(
        np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, wanted, strict=True)])
    )


@needs_gpu
@pytest.mark.parametrize("allowed", [None, EVEN], ids=["all", "half"])
def test_points_are_compared_and_a_filter_is_kept_to(
    device: FaissDevice, allowed: np.ndarray | None
) -> None:
    copy = device.copy_points([POINTS[:1_000], POINTS[1_000:]], WIDTH, faiss.METRIC_L2)
    found = copy.search(Asked(QUERIES, 10, 0), allowed)
    assert share(found.positions, exact(allowed)) >= 0.99
    assert (np.diff(found.distances, axis=1) >= 0).all()


@needs_gpu
@pytest.mark.parametrize("allowed", [None, EVEN], ids=["all", "half"])
def test_a_graph_of_the_cpu_is_walked_and_a_filter_is_kept_to(
    device: FaissDevice, allowed: np.ndarray | None
) -> None:
    graph = faiss.IndexHNSWCagra(WIDTH, DEGREE // 2, faiss.METRIC_L2)
    graph.base_level_only = True
    links = linked_by_cpu(POINTS, DEGREE, faiss.METRIC_L2, lambda: False)
    faiss.downcast_index(graph.storage).add(POINTS)
    faiss.copy_array_to_vector(np.ones(ROWS, np.int32), graph.hnsw.levels)
    graph.hnsw.prepare_level_tab(ROWS, True)
    room = faiss.rev_swig_ptr(graph.hnsw.neighbors.data(), graph.hnsw.neighbors.size())
    room[:] = links.ravel()
    graph.ntotal = ROWS
    found = device.copy(graph).search(Asked(QUERIES, 40, 128), allowed)
    assert share(found.positions[:, :10], exact(allowed)) >= 0.95
    if allowed is not None:
        assert (found.positions[found.positions >= 0] % 2 == 0).all()


@needs_gpu
@pytest.mark.parametrize("metric", [faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT])
def test_a_linked_point_names_others_that_are_near(device: FaissDevice, metric: int) -> None:
    links = device.link(POINTS, DEGREE, metric)
    assert links.shape == (ROWS, DEGREE)
    assert links.min() >= 0
    assert links.max() < ROWS
    near = faiss.knn(POINTS, POINTS, DEGREE, metric=metric)[1]
    assert share(links[:, :8], near) > 0.05


@needs_gpu
def test_codes_learn_what_they_learn_on_the_cpu(device: FaissDevice) -> None:
    def lists() -> faiss.IndexIVFPQ:
        return faiss.IndexIVFPQ(faiss.IndexFlatL2(WIDTH), WIDTH, 16, 8, 8)

    by_gpu, by_cpu = lists(), lists()
    device.train(by_gpu, POINTS)
    by_cpu.train(POINTS)
    errors = []
    for index in (by_gpu, by_cpu):
        index.add(POINTS)
        index.make_direct_map()
        errors.append(float(np.square(index.reconstruct_n(0, ROWS) - POINTS).sum()))
    assert errors[0] < 1.1 * errors[1]


@needs_gpu
def test_there_is_no_more_memory_than_there_is(device: FaissDevice) -> None:
    def pieces():  # type: ignore[no-untyped-def]
        while True:
            yield np.zeros((2**18, 1024), np.float32)

    with pytest.raises(DeviceError) as caught:
        device.copy_points(pieces(), 1024, faiss.METRIC_L2)
    assert caught.value.reason == "out_of_memory"
