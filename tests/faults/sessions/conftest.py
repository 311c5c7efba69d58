"""A private redis-server with a session store on it, new for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions

from tests.conformance.sessions.servers import closing, sessions_on


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", backoff_s=0.01)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def sessions(server: RedisServer) -> AsyncIterator[RedisSessions]:
    async with closing(sessions_on(server)) as store:
        yield store


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4()}"
