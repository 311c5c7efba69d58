"""A private redis-server: a child process on a Unix socket, with its files in one folder."""

from __future__ import annotations

import asyncio
import logging
import signal
from asyncio.subprocess import DEVNULL, STDOUT, Process
from contextlib import suppress
from pathlib import Path
from typing import Literal

import redis.asyncio
from groundwire_index.errors import (
    FailedPreconditionError,
    ResourceExhaustedError,
    UnavailableError,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from groundwire_server.blocking import run_blocking
from groundwire_server.memory.leftover import stop_leftover
from groundwire_server.memory.redis_errors import NotConnectedError
from groundwire_server.memory.redis_folder import RedisFolder, bundled_executable
from groundwire_server.memory.redis_room import DiskRoom

log = logging.getLogger(__name__)

Fsync = Literal["always", "everysec"]

_POLL_S = 0.01
_SETTLED_S = 10.0
_MAX_BACKOFF_S = 5.0
_CANCEL_AGAIN_S = 0.5


class RedisServer:
    """Runs redis-server for as long as this object is started, and again whenever it ends.

    The caller holds the folder: no one else starts a server on it. If the holder was killed
    its redis-server stays behind, and the next start stops that one first; it then loads all
    that was acknowledged. Port 0 means that only this user can connect, through the socket.
    """

    name = "redis"
    remedy = "the server starts it again by itself; retry in a moment"

    def __init__(
        self,
        folder: Path,
        *,
        fsync: Fsync = "always",
        cache_bytes: int = 0,
        executable: Path | None = None,
        start_timeout_s: float = 120.0,
        stop_grace_s: float = 10.0,
        backoff_s: float = 0.1,
    ) -> None:
        """Run it in the folder: a store, or a cache of ``cache_bytes`` that stores nothing."""
        self._folder = RedisFolder(folder, cache_bytes)
        self._room = DiskRoom(folder)
        self._fsync = fsync
        self._executable = executable
        self._start_timeout_s = start_timeout_s
        self._stop_grace_s = stop_grace_s
        self._backoff_s = backoff_s
        self._process: Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._ready = False
        self._syncs = False
        self._last_words = "it was not started"

    @property
    def url(self) -> str:
        """Where clients connect; known before it is started."""
        return self._folder.url

    @property
    def pid(self) -> int | None:
        """Id of the process, while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start redis-server and wait until it has loaded what is stored.

        Raises FailedPreconditionError if it cannot be run, UnavailableError, with its last
        words, if it ends or does not get ready in time.
        """
        try:
            await run_blocking(self._folder.prepare)
        except OSError as error:
            raise FailedPreconditionError(
                f"the folder of redis-server cannot be written: {error}", reason="REDIS_START"
            ) from error
        await stop_leftover(self._folder, grace_s=self._stop_grace_s)
        try:
            async with asyncio.timeout(self._start_timeout_s):
                await self._launch()
        except TimeoutError:
            raise UnavailableError(
                f"redis-server was not ready after {self._start_timeout_s:g} s: see "
                f"{self._folder.log}",
                reason="REDIS_START",
            ) from None
        self._supervisor = asyncio.create_task(self._supervise(), name="redis-server")

    async def check(self) -> None:
        """Raise UnavailableError unless redis-server runs and is loaded."""
        if not self._ready:
            raise UnavailableError(
                f"redis-server does not run: {self._last_words}; see {self._folder.log}",
                reason="REDIS_START",
            )

    async def require_room(self, size: int) -> None:
        """Raise ResourceExhaustedError unless so many bytes can be written and kept.

        Writes wait here for room, because redis-server does not survive a full disk while it
        syncs each of them. Raises NotConnectedError if it cannot be reached.
        """
        if self._folder.cache_bytes:
            return
        await self._room.require(size)
        if not self._syncs:
            await self._sync_writes()

    async def close(self) -> None:
        """Stop redis-server: it writes what it has and ends, or is killed after the grace."""
        if self._supervisor:
            # redis-py loses a cancellation where what it waits for comes in the same moment.
            while not self._supervisor.done():
                self._supervisor.cancel()
                await asyncio.wait([self._supervisor], timeout=_CANCEL_AGAIN_S)
            self._supervisor = None
        self._ready = False
        if self._process:
            await self._end(self._process)
            self._process = None
            await run_blocking(self._folder.remove_short_folder)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = self._backoff_s
        while self._process:
            began = loop.time()
            status = await self._process.wait()
            self._ready = False
            if loop.time() - began > _SETTLED_S:
                backoff_s = self._backoff_s
            self._last_words = await run_blocking(self._folder.last_words)
            log.error(
                "redis-server ended with status %s and is started again: %s",
                status,
                self._last_words,
            )
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _MAX_BACKOFF_S)
            try:
                await self._launch()
            except (UnavailableError, FailedPreconditionError) as error:
                log.warning("%s", error)
            else:
                log.info("redis-server is back")

    async def _sync_writes(self) -> None:
        process = self._process
        try:
            async with self._client() as client:
                await client.config_set("appendfsync", self._fsync)
        except RedisError as error:
            raise NotConnectedError(str(error)) from error
        self._syncs = process is self._process

    async def _launch(self) -> None:
        self._syncs = False
        self._process = await self._spawn()
        async with self._client() as client:
            while not await _is_loaded(client):
                if self._process.returncode is not None:
                    self._last_words = await run_blocking(self._folder.last_words)
                    raise UnavailableError(
                        f"redis-server ended at its start: {self._last_words}",
                        reason="REDIS_START",
                    )
                await asyncio.sleep(_POLL_S)
        # On a full disk it can be read all the same.
        with suppress(ResourceExhaustedError, NotConnectedError):
            await self.require_room(0)
        self._ready = True

    def _client(self) -> redis.asyncio.Redis:
        return redis.asyncio.Redis.from_url(
            self.url, socket_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )

    async def _spawn(self) -> Process:
        executable = self._executable or bundled_executable()
        try:
            with await run_blocking(self._folder.log.open, "ab") as output:
                return await asyncio.create_subprocess_exec(
                    executable,
                    self._folder.config.absolute(),
                    cwd=self._folder.path,
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=STDOUT,
                    # Ctrl-C at a terminal reaches the group: the server has to stop first.
                    start_new_session=True,
                )
        except OSError as error:
            raise FailedPreconditionError(
                f"{executable} cannot be run in {self._folder.path}: {error}", reason="REDIS_START"
            ) from error

    async def _end(self, process: Process) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._stop_grace_s):
                await process.wait()
        except TimeoutError:
            log.warning("redis-server did not stop within its grace and is killed")
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _is_loaded(client: redis.asyncio.Redis) -> bool:
    try:
        return bool(await client.ping())
    except RedisError:
        return False
