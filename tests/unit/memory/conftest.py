"""One private redis-server for the tests of this folder; each test has its own tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions

from tests.conformance.sessions.servers import closing, sessions_on


@pytest.fixture(scope="session")
async def redis_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("memory") / "redis", fsync="everysec")
    await server.start()
    yield server
    await server.close()


@pytest.fixture(scope="session")
async def sessions(redis_server: RedisServer) -> AsyncIterator[RedisSessions]:
    async with closing(sessions_on(redis_server)) as store:
        yield store


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4()}"
