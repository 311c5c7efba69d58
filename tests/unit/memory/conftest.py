"""One private redis-server for the tests of this folder; each test has its own tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions

from tests.conformance.sessions.servers import closing, sessions_on


@pytest.fixture(scope="session")
async def sessions(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisSessions]:
    server = RedisServer(tmp_path_factory.mktemp("memory") / "redis", fsync="everysec")
    await server.start()
    async with closing(sessions_on(server)) as store:
        yield store
    await server.close()


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4()}"
