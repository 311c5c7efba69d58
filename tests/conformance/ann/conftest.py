"""Every test of this folder meets every family; those that take a built index, every metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest
from groundwire_index.ann import FAMILIES, Ann, Family, Vectors
from groundwire_index.ann.cagra import Cagra
from groundwire_index.ann.ivf_pq import IvfPq
from groundwire_index.gpu import Gpus, open_gpus
from groundwire_index.gpu.ann import GpuAnn
from groundwire_index.records import Metric

from tests.conformance.ann.corpus import Matrix, Pieces, clustered
from tests.stand_in_gpu import WHY_NO_GPU, StandIn

ROWS, DIMENSION = 6_000, 48


class ProductLists(IvfPq):
    """IVF-PQ with the codes that GPUs search, unless a test says otherwise."""

    def build(
        self,
        vectors: Vectors,
        metric: Metric,
        parameters: Mapping[str, str],
        path: Path,
        cancelled: Callable[[], bool],
        threads: int = 1,
    ) -> None:
        super().build(vectors, metric, {"codes": "pq", **parameters}, path, cancelled, threads)


class OnGpu:
    """A family whose indexes are searched by GPUs."""

    def __init__(self, family: Family, gpus: Gpus) -> None:
        self.kind = family.kind
        self.check = family.check
        self.build = family.build
        self._family = family
        self._gpus = gpus

    def open(self, path: Path, metric: Metric, dimension: int) -> Ann:
        ann = self._gpus.accelerated(self._family.open(path, metric, dimension))
        if isinstance(ann, GpuAnn):
            loading: Future[None] = ann._copy.loading  # type: ignore[attr-defined]
            loading.result(60)
        return ann


def on_gpus(where: str, gpus: Gpus) -> dict[str, Family]:
    return {
        f"cagra on {where}": OnGpu(Cagra(gpus.link), gpus),
        f"ivf_pq with pq on {where}": OnGpu(ProductLists(gpus.train), gpus),
    }


def fallen_back(reason: str) -> None:
    # Indexes of other tests may be going.
    assert reason == "loading", f"the CPU answered in the GPU's place: {reason}"


STORED: Mapping[str, Family] = {**FAMILIES, "ivf_pq with pq": ProductLists()}
ON_GPU: Mapping[str, Family] = (
    on_gpus("a GPU", open_gpus(None, 2**32, fallen_back)) if not WHY_NO_GPU else {}
)
ALL: Mapping[str, Family] = {
    **STORED,
    **on_gpus("a stand-in", StandIn().gpus(observe=fallen_back)),
    **ON_GPU,
}


@pytest.fixture(scope="session", params=sorted(ALL))
def family(request: pytest.FixtureRequest) -> Family:
    return ALL[request.param]


@pytest.fixture(scope="session", params=list(Metric), ids=lambda metric: metric.value)
def metric(request: pytest.FixtureRequest) -> Metric:
    return Metric(request.param)


@dataclass(frozen=True)
class Built:
    """An index, and what it was built from."""

    ann: Ann
    vectors: Matrix
    queries: Matrix
    metric: Metric
    family: Family


@pytest.fixture(scope="session")
def built(family: Family, metric: Metric, tmp_path_factory: pytest.TempPathFactory) -> Built:
    vectors, queries = clustered(ROWS, DIMENSION, seed=7)
    path = tmp_path_factory.mktemp("ann") / family.kind
    ann = make(family, vectors, path, metric)
    return Built(ann, vectors, queries, metric, family)


def make(family: Family, vectors: Matrix, path: Path, metric: Metric = Metric.COSINE) -> Ann:
    family.build(Pieces(vectors), metric, {}, path, lambda: False)
    return family.open(path, metric, vectors.shape[1])
