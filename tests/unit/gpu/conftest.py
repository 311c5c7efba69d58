"""An index on a GPU that stands in for one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from groundwire_index.ann import FAMILIES, Ann, Tuning
from groundwire_index.gpu.ann import GpuAnn
from groundwire_index.gpu.running import RunningGpus
from groundwire_index.records import Metric

from tests.conformance.ann.corpus import Matrix, Pieces, clustered
from tests.patience import PATIENCE_S
from tests.stand_in_gpu import StandIn

ROWS, DIMENSION = 2_000, 32
VECTORS, QUERIES = clustered(ROWS, DIMENSION, seed=21)


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a graph."""
    path = tmp_path_factory.mktemp("gpu") / "cagra"
    FAMILIES["cagra"].build(Pieces(VECTORS), Metric.COSINE, {}, path, lambda: False)
    return path


@pytest.fixture
def cpu(path: Path) -> Ann:
    return FAMILIES["cagra"].open(path, Metric.COSINE, DIMENSION)


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@dataclass(frozen=True)
class Machine:
    """GPUs, and what the CPU was said to do in their place."""

    gpus: RunningGpus
    stand_in: StandIn
    fallbacks: list[str]

    def loaded(self, ann: Ann) -> GpuAnn:
        """The index, its copy made or given up."""
        accelerated = self.gpus.accelerated(ann)
        assert isinstance(accelerated, GpuAnn)
        loading(accelerated)
        return accelerated


def loading(ann: GpuAnn) -> None:
    """Wait until there is a copy, or none."""
    ann._copy.loading.exception(PATIENCE_S)  # type: ignore[attr-defined]


@pytest.fixture
def machine(stand_in: StandIn) -> Iterator[Machine]:
    fallbacks: list[str] = []
    gpus = stand_in.gpus(observe=fallbacks.append)
    yield Machine(gpus, stand_in, fallbacks)
    gpus.close()


def found(ann: Ann, queries: Matrix = QUERIES, allowed: np.ndarray | None = None) -> np.ndarray:
    return ann.search(queries, 10, allowed, Tuning())
