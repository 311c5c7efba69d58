"""Real redis-servers, as tests start them."""

from __future__ import annotations

import asyncio
import shutil
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from groundwire_server.memory.redis_folder import bundled_executable
from groundwire_server.memory.redis_keeper import RedisKeeper
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions, utc_now
from groundwire_server.memory.uses import Clock
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.patience import PATIENCE_S, until


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
    timeout_s: float = PATIENCE_S,
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
    server: RedisServer, *, timeout_s: float = PATIENCE_S, clock: Clock = utc_now
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


async def keys_of(sessions: RedisSessions, tenant: str) -> list[str]:
    """What Redis keeps of a tenant."""
    return [key async for key in sessions._link.keys(f"gw:{{{tenant}:*")]


async def bring_forward(sessions: RedisSessions, tenant: str, seconds: float) -> None:
    """What Redis keeps of a tenant for a time expires so much earlier."""
    redis = sessions._link._client
    for key in await keys_of(sessions, tenant):
        if (left_ms := await redis.pttl(key)) >= 0:
            await redis.pexpire(key, max(1, left_ms - round(seconds * 1000)))


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
    command = (
        executable or bundled_executable(),
        *((sentinel, "--sentinel") if sentinel else ("--save", "")),
        *("--bind", "127.0.0.1", *options),
    )
    chosen = port or free_port()
    process = await _spawn(folder, *command, "--port", str(chosen))
    try:
        while not await _comes_up(process, chosen):
            assert not port, f"redis-server ended: another process may have port {port}"
            chosen = free_port()
            process = await _spawn(folder, *command, "--port", str(chosen))
        yield chosen
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[int]:
    """A cluster of three masters that know of each other; yields the port of one."""
    # None that stands still for a while is taken for dead by the others.
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "60000")
    async with (
        tcp_server(folder / "0", *options) as first,
        tcp_server(folder / "1", *options) as second,
        tcp_server(folder / "2", *options) as third,
    ):
        clients = [patient_client(port) for port in (first, second, third)]
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


def patient_client(port: int) -> Redis:
    """It waits for long, and sends nothing twice."""
    return Redis(port=port, socket_timeout=PATIENCE_S, retry=Retry(NoBackoff(), 0))


def free_port() -> int:
    """A port below 50,000, because a cluster's second port is 10,000 above."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 50_000:
            return port


async def _spawn(folder: Path, *command: str | Path) -> Process:
    return await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=DEVNULL)


async def _comes_up(process: Process, port: int) -> bool:
    """Whether it listens, rather than end because another process has the port already."""
    up = False
    async with patient_client(port) as client:

        async def is_decided() -> bool:
            nonlocal up
            with suppress(RedisError):
                up = (await client.info("server"))["process_id"] == process.pid
            return up or process.returncode is not None

        await until(is_decided, f"redis-server listens on port {port}")
    return up


async def _is_whole(client: Redis) -> bool:
    info: bytes = await client.execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_slots_ok:16384" in info
