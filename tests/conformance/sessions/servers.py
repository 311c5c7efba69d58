"""Real redis-servers, as tests start them."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from groundwire_server.memory.redis_folder import bundled_executable
from groundwire_server.memory.redis_keeper import RedisKeeper
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions, utc_now
from groundwire_server.memory.uses import Clock
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

DEADLINE_S = 20.0


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return once it holds; fail if it does not in time."""
    deadline = time.monotonic() + DEADLINE_S
    while not await holds():
        assert time.monotonic() < deadline, f"not in {DEADLINE_S:g} s: {what}"
        await asyncio.sleep(0.005)


class SetClock:
    """Stands still, at a time that Redis agrees with, until it is told to go on."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Stand still at the time that it is."""
        self._time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self._time

    def advance(self, seconds: float) -> None:
        self._time += timedelta(seconds=seconds)


async def count_words(text: str) -> int:
    return len(text.split())


def sessions_at(
    url: str,
    *,
    keeper: RedisKeeper | None = None,
    timeout_s: float = 5.0,
    clock: Clock = utc_now,
    on_step: Callable[[float], None] = lambda _seconds: None,
) -> RedisSessions:
    return RedisSessions(
        url,
        count_tokens=count_words,
        keeper=keeper,
        timeout_s=timeout_s,
        clock=clock,
        on_step=on_step,
    )


def sessions_on(
    server: RedisServer, *, timeout_s: float = 5.0, clock: Clock = utc_now
) -> RedisSessions:
    """On a private redis-server, as the server has them."""
    return sessions_at(server.url, keeper=server, timeout_s=timeout_s, clock=clock)


@asynccontextmanager
async def closing(store: RedisSessions) -> AsyncIterator[RedisSessions]:
    """A started store that is closed at the end."""
    await store.start()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def tcp_server(
    folder: Path,
    *options: str,
    port: int = 0,
    executable: Path | None = None,
    sentinel: Path | None = None,
) -> AsyncIterator[int]:
    """A redis-server that someone else runs, on the port of 127.0.0.1 that is yielded.

    With the configuration of a Sentinel, it is one.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    port = port or free_port()
    process = await asyncio.create_subprocess_exec(
        executable or bundled_executable(),
        *((sentinel, "--sentinel") if sentinel else ("--save", "")),
        *("--bind", "127.0.0.1", "--port", str(port), *options),
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with Redis(port=port) as client:
            await until(lambda: answers(client), f"redis-server on port {port}")
        yield port
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[int]:
    """A cluster of three masters that know of each other; yields the port of one."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
    async with (
        tcp_server(folder / "0", *options) as first,
        tcp_server(folder / "1", *options) as second,
        tcp_server(folder / "2", *options) as third,
    ):
        clients = [Redis(port=port) for port in (first, second, third)]
        try:
            for number, client in enumerate(clients):
                slots = range(16_384)[number * 5462 : (number + 1) * 5462]
                await client.execute_command("CLUSTER", "ADDSLOTS", *slots)
            for port in (second, third):
                await clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port)
            for client in clients:
                await until(partial(_is_whole, client), "the cluster is whole")
            yield first
        finally:
            for client in clients:
                await client.aclose()


def system_executable() -> Path:
    """The redis-server or valkey-server of the system, if there is one, else our own."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found) if found else bundled_executable()


async def answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except RedisConnectionError:
        return False


def free_port() -> int:
    """A port below 50,000, because a cluster's second port is 10,000 above."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 50_000:
            return port


async def _is_whole(client: Redis) -> bool:
    info: bytes = await client.execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_slots_ok:16384" in info
