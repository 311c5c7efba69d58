"""Sessions on a Redis that a Sentinel watches over: a failover costs a moment, and no turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from groundwire_index.errors import InvalidArgumentError, UnavailableError
from groundwire_server.engines.engine import Role
from groundwire_server.memory.redis_sentinel import watched
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tests.conformance.sessions.servers import closing, free_port, sessions_at, tcp_server
from tests.patience import until

SERVICE = "talks"


@dataclass
class Watch:
    """A primary, its replica, and the Sentinel of both."""

    primary: AsyncExitStack
    """Closing it kills the primary."""
    first: Redis
    """What is the primary at first."""
    replica: Redis
    sentinel: Redis
    url: str

    async def fail_over(self) -> None:
        """Have the replica promoted, whatever the primary does."""

        async def is_promoted() -> bool:
            if str((await self.replica.info("replication"))["role"]) == "master":
                return True
            try:
                await self.sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)
            except ResponseError as error:
                # What it knows of the replica is too old, or it is at it. One that stood still
                # begins a failover, does nothing for half a minute, and gives it up.
                if not str(error).startswith(("NOGOODSLAVE", "INPROG")):
                    raise
            return False

        await until(is_promoted, "the replica is the primary")


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    async with AsyncExitStack() as stack:
        primary = await stack.enter_async_context(AsyncExitStack())
        first = await primary.enter_async_context(tcp_server(tmp_path / "first"))
        copying = ("--replicaof", "127.0.0.1", str(first))
        second = await stack.enter_async_context(tcp_server(tmp_path / "second", *copying))
        sentinel = await stack.enter_async_context(_sentinel(tmp_path / "sentinel", first))
        own = await stack.enter_async_context(Redis(port=first))
        replica = await stack.enter_async_context(Redis(port=second))
        asked = await stack.enter_async_context(Redis(port=sentinel, decode_responses=True))
        found = Watch(
            primary,
            own,
            replica,
            asked,
            f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel}/{SERVICE}",
        )

        async def copies() -> bool:
            info = await replica.info("replication")
            (of,) = await asked.execute_command("SENTINEL", "MASTERS")
            return info.get("master_link_status") == "up" and of["num-slaves"] == "1"

        await until(copies, "the replica is known and copies")
        yield found


@asynccontextmanager
async def _sentinel(folder: Path, primary: int) -> AsyncIterator[int]:
    config = folder / "sentinel.conf"
    await asyncio.to_thread(folder.mkdir)
    text = (
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 1\n"
        # It decides nothing by itself: on a busy machine anyone may be slow to answer.
        f"sentinel down-after-milliseconds {SERVICE} 600000\n"
        f"sentinel failover-timeout {SERVICE} 5000\n"
    )
    await asyncio.to_thread(config.write_text, text)
    async with tcp_server(folder, sentinel=config) as port:
        yield port


@pytest.fixture
async def sessions(watch: Watch) -> AsyncIterator[RedisSessions]:
    async with closing(sessions_at(watch.url)) as store:
        yield store


async def contents_of(sessions: RedisSessions, tenant: str) -> list[str]:
    page = await sessions.turns(tenant, "s", after=0, limit=1000)
    return [turn.content for turn in page.turns]


async def until_stored(call: Callable[[], Awaitable[int]]) -> int:
    """Try again while the store is away, as a caller does."""
    heads: list[int] = []

    async def is_stored() -> bool:
        try:
            heads.append(await call())
        except UnavailableError:
            return False
        return True

    await until(is_stored, "the store is back")
    return heads[-1]


async def test_when_the_primary_dies_its_replica_has_all_and_takes_over(
    watch: Watch, sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    for number in range(5):
        turn = NewTurn(Role.USER, str(number))
        assert await sessions.append(tenant, "s", [turn], idempotency_key=str(number)) == number + 1

    async def is_copied() -> bool:
        return await watch.replica.exists(f"gw:{{{tenant}:s}}:turns") == 1

    await until(is_copied, "the replica has the turns")
    await watch.primary.aclose()
    with pytest.raises(UnavailableError, match=r"talks that the Sentinels at 127\.0\.0\.1"):
        await sessions.append(tenant, "s", [NewTurn(Role.USER, "lost")])
    await watch.fail_over()
    last = NewTurn(Role.USER, "last")
    for _ in range(2):
        head = await until_stored(
            lambda: sessions.append(tenant, "s", [last], idempotency_key="last")
        )
        assert head == 6
    assert await contents_of(sessions, tenant) == [*map(str, range(5)), "last"]


async def test_what_was_written_before_a_failover_is_there_after_it(
    watch: Watch, sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", [NewTurn(Role.USER, "first")])
    await watch.fail_over()

    async def is_done() -> bool:
        return str((await watch.first.info("replication"))["role"]) == "slave"

    await until(is_done, "the two have changed places")
    last = NewTurn(Role.USER, "last")
    await until_stored(lambda: sessions.append(tenant, "s", [last], idempotency_key="last"))
    assert await contents_of(sessions, tenant) == ["first", "last"]
    assert await watch.replica.xlen(f"gw:{{{tenant}:s}}:turns") == 2


async def test_a_primary_that_has_become_a_replica_says_that_nothing_was_written(
    watch: Watch, sessions: RedisSessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await watch.first.execute_command("REPLICAOF", "127.0.0.1", free_port())
    with pytest.raises(UnavailableError, match="read-only replica") as raised:
        await sessions.append(tenant, "s", [NewTurn(Role.USER, "lost")])
    assert raised.value.reason == "SESSION_STORE_UNAVAILABLE"
    await watch.first.execute_command("REPLICAOF", "NO", "ONE")
    turn = NewTurn(Role.USER, "kept")
    await until_stored(lambda: sessions.append(tenant, "s", [turn], idempotency_key="k"))
    assert await contents_of(sessions, tenant) == ["kept"]


def test_a_url_says_who_watches_over_what() -> None:
    found = watched(
        "rediss+sentinel://ada:p%40ss@one,two:1234,[::1]:9/talks/3"
        "?sentinel_username=eve&sentinel_password=word"
    )
    assert found.sentinels == (("one", 26379), ("two", 1234), ("::1", 9))
    assert (found.service, found.db, found.tls) == ("talks", 3, True)
    assert found.login == {"username": "ada", "password": "p@ss"}
    assert found.sentinel_login == {"username": "eve", "password": "word"}
    assert found.places == "one:26379, two:1234, [::1]:9"
    plain = watched("redis+sentinel://one/talks")
    assert (plain.db, plain.login, plain.sentinel_login, plain.tls) == (0, {}, {}, False)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one",
        "redis+sentinel:///talks",
        "redis+sentinel://one,/talks",
        "redis+sentinel://one:x/talks",
        "redis+sentinel://one/talks/db",
        "redis+sentinel://one/talks?other=1",
    ],
)
def test_a_url_that_leaves_something_out_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="redis_url"):
        sessions_at(url)
