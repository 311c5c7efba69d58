"""The disk of the private redis-server is full: it is said, reads go on, nothing is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from groundwire_index.errors import ResourceExhaustedError, UnavailableError
from groundwire_server.engines.engine import Role
from groundwire_server.memory.redis_room import RESERVE_BYTES
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn
from redis.asyncio import Redis

from tests.conformance.sessions.servers import closing, sessions_at, sessions_on
from tests.patience import until
from tests.small_disk import filled, small_disk

SAY = [NewTurn(Role.USER, "hello there")]
# More than the room that a file's last page may have.
LONG = [NewTurn(Role.USER, "x" * 10_000)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", mebibytes=24) as disk:
        yield disk


@pytest.fixture
async def server(disk: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(disk / "redis", backoff_s=0.01)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def sessions(server: RedisServer) -> AsyncIterator[RedisSessions]:
    async with closing(sessions_on(server)) as store:
        yield store


async def contents_of(sessions: RedisSessions, tenant: str) -> list[str]:
    page = await sessions.turns(tenant, "s", after=0, limit=1000)
    return [turn.content for turn in page.turns]


async def read_often(sessions: RedisSessions, tenant: str) -> None:
    """More often than the last page of the log has room for."""
    for _ in range(200):
        await contents_of(sessions, tenant)


async def restarted(server: RedisServer, pid: int | None) -> None:
    async def is_back() -> bool:
        try:
            await server.check()
        except UnavailableError:
            return False
        return server.pid != pid

    await until(is_back, "redis-server runs again")


async def policy(server: RedisServer) -> str:
    async with Redis.from_url(server.url, decode_responses=True) as client:
        found: dict[str, str] = await client.config_get("appendfsync")
    return found["appendfsync"]


async def test_writes_are_refused_as_in_the_index_and_reads_go_on(
    server: RedisServer, sessions: RedisSessions, tenant: str, disk: Path
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", SAY)
    pid = server.pid
    with filled(disk):
        for call in (
            lambda: sessions.append(tenant, "s", SAY),
            lambda: sessions.append(tenant, "s", SAY, idempotency_key="k"),
            lambda: sessions.create(tenant, "ada", session_id="new"),
            lambda: sessions.create(tenant, "ada", idempotency_key="k"),
            lambda: sessions.delete(tenant, "s"),
        ):
            with pytest.raises(ResourceExhaustedError, match="free some space") as raised:
                await call()
            assert raised.value.reason == "DISK_FULL"
            assert str(disk) not in raised.value.message
            assert await contents_of(sessions, tenant) == ["hello there"]
        await server.check()
    assert await sessions.append(tenant, "s", SAY, idempotency_key="k") == 2
    assert server.pid == pid


async def test_a_write_that_would_fill_the_disk_is_refused_and_a_small_one_is_not(
    sessions: RedisSessions, tenant: str, disk: Path
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "other").write_bytes(b"\0" * (free - RESERVE_BYTES - 2**20))
    with pytest.raises(ResourceExhaustedError, match="full"):
        await sessions.append(tenant, "s", [NewTurn(Role.USER, "x" * 2**20)])
    assert await sessions.append(tenant, "s", SAY) == 1


async def test_it_outlives_what_it_writes_by_itself_and_syncs_again_when_there_is_room(
    server: RedisServer, sessions: RedisSessions, tenant: str, disk: Path
) -> None:
    """Reading a session that expires writes its new expiry, which a full disk does not take."""
    await sessions.create(tenant, "ada", session_id="s", ttl_s=1000)
    await sessions.append(tenant, "s", SAY)
    assert await policy(server) == "always"
    pid = server.pid
    with filled(disk):
        with pytest.raises(UnavailableError, match="Nothing of this call was written"):
            await read_often(sessions, tenant)
        await restarted(server, pid)
        second = server.pid
        for _ in range(3):
            assert await contents_of(sessions, tenant) == ["hello there"]
            with pytest.raises(ResourceExhaustedError, match="full"):
                await sessions.append(tenant, "s", SAY)
        assert server.pid == second
    assert await sessions.append(tenant, "s", SAY) == 2
    assert await policy(server) == "always"
    assert server.pid == second


async def test_when_it_ends_in_the_middle_of_a_write_nothing_acknowledged_is_lost(
    server: RedisServer, sessions: RedisSessions, tenant: str, disk: Path
) -> None:
    """As when another program takes the last of the disk while a write is under way."""
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", SAY)
    pid = server.pid
    assert pid
    unguarded = sessions_at(server.url)
    with filled(disk):
        async with closing(unguarded):
            with pytest.raises(UnavailableError) as raised:
                await unguarded.append(tenant, "s", LONG, idempotency_key="k")
        assert raised.value.reason == "OUTCOME_UNKNOWN"
        await restarted(server, pid)
        assert await contents_of(sessions, tenant) == ["hello there"]
        with pytest.raises(ResourceExhaustedError, match="full"):
            await sessions.append(tenant, "s", LONG, idempotency_key="k")
    for _ in range(2):
        assert await sessions.append(tenant, "s", LONG, idempotency_key="k") == 2
    pid = server.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    await restarted(server, pid)
    assert await contents_of(sessions, tenant) == ["hello there", "x" * 10_000]
