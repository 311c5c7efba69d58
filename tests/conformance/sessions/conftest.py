"""Every session store that there is, each on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions

from tests.conformance.sessions.servers import (
    SetClock,
    closing,
    cluster,
    sessions_at,
    sessions_on,
    system_executable,
    tcp_server,
)

# One fixture for each server, so that each starts once in whatever order the tests run.


@pytest.fixture(scope="session")
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(autouse=True)
def _from_now_on(clock: SetClock) -> None:
    clock.reset()


@pytest.fixture(scope="session")
async def on_private_server(
    clock: SetClock,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RedisSessions]:
    server = RedisServer(tmp_path_factory.mktemp("private") / "redis")
    await server.start()
    async with closing(sessions_on(server, clock=clock)) as store:
        yield store
    await server.close()


@pytest.fixture(scope="session")
async def on_tcp_server(
    clock: SetClock, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RedisSessions]:
    async with (
        tcp_server(tmp_path_factory.mktemp("tcp"), executable=system_executable()) as port,
        closing(sessions_at(f"redis://127.0.0.1:{port}/3", clock=clock)) as store,
    ):
        yield store


@pytest.fixture(scope="session")
async def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with cluster(tmp_path_factory.mktemp("cluster")) as port:
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(scope="session")
async def on_cluster(clock: SetClock, cluster_url: str) -> AsyncIterator[RedisSessions]:
    async with closing(sessions_at(cluster_url, clock=clock)) as store:
        yield store


@pytest.fixture(params=["on_private_server", "on_tcp_server", "on_cluster"])
def sessions(request: pytest.FixtureRequest) -> RedisSessions:
    store: RedisSessions = request.getfixturevalue(request.param)
    return store


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4()}"
