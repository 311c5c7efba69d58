"""An index in a folder of its own, and a clock that the test sets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric, VectorType

from tests.unit.index.samples import TENANT, Clock


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where there is such a file system: syncs are free there."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="groundwire-test-") as path:
        yield Path(path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def index(folder: Path, clock: Clock) -> Iterator[Index]:
    # Small segments, so that ordinary tests cross from one to the next.
    with Index.open(folder / "index", now=clock, segment_bytes=256) as opened:
        yield opened


@pytest.fixture
def make(index: Index) -> Callable[..., Collection]:
    """Makes a collection: ``make("name", Metric.DOT, dimension=2)``."""

    def make(
        name: str = "c",
        metric: Metric = Metric.COSINE,
        dimension: int = 3,
        vector_type: VectorType = VectorType.FLOAT32,
    ) -> Collection:
        spec = CollectionSpec(name, metric, dimension, vector_type=vector_type)
        index.create_collection(TENANT, spec)
        return index.collection(TENANT, name)

    return make


@pytest.fixture
def collection(make: Callable[..., Collection]) -> Collection:
    """A collection of three dimensions under cosine similarity."""
    return make()
