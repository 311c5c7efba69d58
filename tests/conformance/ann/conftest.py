"""Every test of this folder meets every family; those that take a built index, every metric."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from groundwire_index.ann import FAMILIES, Ann, Family
from groundwire_index.records import Metric

from tests.conformance.ann.corpus import Matrix, Pieces, clustered

ROWS, DIMENSION = 6_000, 48


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


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


@pytest.fixture(scope="session")
def built(family: Family, metric: Metric, tmp_path_factory: pytest.TempPathFactory) -> Built:
    vectors, queries = clustered(ROWS, DIMENSION, seed=7)
    path = tmp_path_factory.mktemp("ann") / family.kind
    ann = make(family, vectors, path, metric)
    return Built(ann, vectors, queries, metric)


def make(family: Family, vectors: Matrix, path: Path, metric: Metric = Metric.COSINE) -> Ann:
    family.build(Pieces(vectors), metric, {}, path, lambda: False)
    return family.open(path, metric, vectors.shape[1])
