"""What a server of two tenants has stored, and whether it is what a restored folder holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundwire_index import CollectionSpec, Index, Metric, VectorType
from groundwire_server.backup.manifest import BackupManifest
from groundwire_server.backup.taking import back_up
from groundwire_server.engines.engine import Role
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn
from groundwire_server.settings import Settings
from groundwire_server.settings_record import effective

from tests.conformance.sessions.servers import closing, sessions_on
from tests.unit.index.copied import all_of, many

TENANTS = ("acme", "other tenant")
TURNS = 70


def store(data_dir: Path) -> None:
    """A collection with an alias, and a session, of each tenant; each of another type."""
    data_dir.mkdir()
    with Index.open(data_dir / "index", background=False) as index:
        for number, (tenant, vector_type) in enumerate(zip(TENANTS, VectorType, strict=True)):
            spec = CollectionSpec("notes", Metric.COSINE, 3, vector_type=vector_type)
            index.create_collection(tenant, spec)
            index.collection(tenant, "notes").upsert(many(number, 100))
            index.set_alias(tenant, "current", "notes")
    asyncio.run(_store_sessions(data_dir / "redis"))


def backed_up(data_dir: Path, target: Path, redis_url: str = "") -> BackupManifest:
    """Take a backup, telling no one."""
    settings = effective(Settings(data_dir=data_dir))
    return back_up(data_dir, target, settings, redis_url, lambda _: None)


def assert_stored(data_dir: Path) -> None:
    """A data folder holds what `store` has stored."""
    with Index.open(data_dir / "index", background=False) as index:
        for number, tenant in enumerate(TENANTS):
            found = all_of(index.collection(tenant, "current"))
            assert list(found) == [f"r{n}" for n in range(number, number + 100)]
    asyncio.run(_assert_sessions(data_dir / "redis"))


async def fill(sessions: RedisSessions) -> None:
    """A session of each tenant, one of which expires in an hour."""
    for tenant, ttl_s in zip(TENANTS, (None, 3600.0), strict=True):
        await sessions.create(tenant, "ada", session_id="s", ttl_s=ttl_s, idempotency_key="k")
        for number in range(TURNS):
            turn = NewTurn(Role.USER, f"{tenant} {number}")
            await sessions.append(tenant, "s", [turn], idempotency_key=f"k{number}")


async def assert_filled(sessions: RedisSessions) -> None:
    """All of it is there, keys of requests included, and it can be gone on with."""
    for tenant, ttl_s in zip(TENANTS, (None, 3600.0), strict=True):
        session = await sessions.get(tenant, "s")
        assert (session.subject, session.head) == ("ada", TURNS)
        assert (session.expire_time is None) == (ttl_s is None)
        found = await sessions.turns(tenant, "s", after=0, limit=1000)
        assert [turn.content for turn in found.turns] == [f"{tenant} {n}" for n in range(TURNS)]
        again = [NewTurn(Role.USER, f"{tenant} 7")]
        assert await sessions.append(tenant, "s", again, idempotency_key="k7") == 8
        created = await sessions.create(
            tenant, "ada", session_id="s", ttl_s=ttl_s, idempotency_key="k"
        )
        assert created.id == "s"
        assert await sessions.append(tenant, "s", again, expected_head=TURNS) == TURNS + 1


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden things too."""
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def flipped(path: Path, at: int) -> Iterator[None]:
    """One bit of a file is another, for a while."""
    content = path.read_bytes()
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    try:
        yield
    finally:
        path.write_bytes(content)


async def _store_sessions(folder: Path) -> None:
    server = RedisServer(folder)
    await server.start()
    async with closing(sessions_on(server)) as sessions:
        await fill(sessions)
    await server.close()


async def _assert_sessions(folder: Path) -> None:
    server = RedisServer(folder)
    await server.start()
    async with closing(sessions_on(server)) as sessions:
        await assert_filled(sessions)
    await server.close()
