"""The same test for both clients."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.unit.client.scripted import Asyncio, Blocking


@pytest.fixture(params=[Blocking, Asyncio], ids=["Client", "AsyncClient"])
def ask(request: pytest.FixtureRequest) -> Blocking | Asyncio:
    """Makes one call with a client: ``await ask(address, lambda client: client.embed(...))``."""
    return request.param()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections: bound, so nobody else takes it, but not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
