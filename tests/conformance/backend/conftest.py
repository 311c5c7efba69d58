"""Every backend of the index, empty for each test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from groundwire_index import CollectionSpec, Index, Metric
from groundwire_index.backend import CollectionBackend, IndexBackend
from groundwire_index.milvus import MilvusIndex

from tests.conformance.milvus import LiteServer
from tests.unit.index.samples import Clock

Reopen = Callable[[], AbstractContextManager[IndexBackend]]
Make = Callable[..., CollectionBackend]

BACKENDS = ("embedded", "milvus")


@pytest.fixture(scope="session")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiteServer]:
    """A server that tests share; use a tenant of your own."""
    with LiteServer(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=BACKENDS)
def reopen(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> Callable[[], AbstractContextManager[IndexBackend]]:
    """Opens the index; when it has been closed, the same one again."""
    if request.param == "embedded":
        return lambda: Index.open(tmp_path / "index", now=clock)
    uri = request.getfixturevalue("lite").uri
    return lambda: MilvusIndex.open(uri, now=clock)


@pytest.fixture
def index(reopen: Reopen) -> Iterator[IndexBackend]:
    with reopen() as opened:
        yield opened


@pytest.fixture
def tenant() -> str:
    """One that no other test has: tests of Milvus share a server."""
    return f"acme {uuid.uuid4().hex}"


@pytest.fixture
def make(index: IndexBackend, tenant: str) -> Make:
    """Makes a collection: ``make("name", Metric.DOT, dimension=2)``."""

    def make(
        name: str = "c", metric: Metric = Metric.COSINE, dimension: int = 3
    ) -> CollectionBackend:
        index.create_collection(tenant, CollectionSpec(name, metric, dimension))
        return index.collection(tenant, name)

    return make


@pytest.fixture
def collection(make: Make) -> CollectionBackend:
    """A collection of three dimensions under cosine similarity."""
    return make()
