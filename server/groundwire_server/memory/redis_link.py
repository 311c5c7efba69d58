"""Running scripts on a Redis, a Valkey, or a cluster of either."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from time import perf_counter
from typing import Any

from groundwire_index.errors import InvalidArgumentError, ResourceExhaustedError
from redis import exceptions
from redis.asyncio.cluster import RedisCluster

from groundwire_server.memory.redis_client import SingleRedis, never
from groundwire_server.memory.redis_errors import CLIENT_ERRORS, NotConnectedError, StoreErrors
from groundwire_server.memory.redis_keeper import RedisKeeper

Argument = str | bytes | int
_Call = tuple["Script", Sequence[str], Sequence[Argument]]


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script that runs as one atomic step. All keys it touches are passed to it."""

    source: str
    sha: str
    writes: bool
    """Then it needs room on the disk, and its outcome matters when the answer is lost."""


def load_script(name: str, *, writes: bool, after: str = "", package: str = __package__) -> Script:
    """Read one of the ``.lua`` files of a package; ``after`` another, which it uses."""
    folder = files(package).joinpath("scripts")
    names = [f"{after}.lib.lua"] if after else []
    source = "\n".join(folder.joinpath(each).read_text() for each in (*names, f"{name}.lua"))
    return Script(source, hashlib.sha1(source.encode()).hexdigest(), writes)  # noqa: S324 - Redis' name for it


class RedisLink:
    """A pool of connections to one URL, or to the cluster that is found behind it.

    No call takes longer than about three times ``timeout_s``, which bounds the wait for a free
    connection, for the connection to be made, and for an answer. Nothing is sent twice, unless
    the caller says that it may be.
    """

    def __init__(
        self,
        url: str,
        keeper: RedisKeeper,
        *,
        timeout_s: float,
        max_connections: int,
        on_step: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """Take a URL of Redis, or of Sentinels; InvalidArgumentError for any other.

        ``on_step`` is told how long each script has taken, whatever came of it.
        """
        self._url = url
        self._keeper = keeper
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(max_connections)
        self._joining = asyncio.Lock()
        self._on_step = on_step
        self._max_connections = max_connections
        try:
            self._single = SingleRedis(url, timeout_s=timeout_s, max_connections=max_connections)
        except ValueError as error:
            raise InvalidArgumentError("redis_url", str(error)) from error
        self._errors = StoreErrors(keeper.remedy)
        self._client: SingleRedis | RedisCluster = self._single

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[Argument] = (),
        *,
        repeatable: bool = False,
    ) -> Any:
        """Run a script; its answer as bytes, ints, lists and None.

        With ``repeatable``, it is sent a second time when its connection was lost, as happens
        when Redis was started again since. Raises as `StoreErrors` says.
        """
        began = perf_counter()
        try:
            with self._errors.told(writes=script.writes):
                return await self._ran((script, keys, arguments), repeatable=repeatable)
        finally:
            self._on_step(perf_counter() - began)

    async def keys(self, pattern: str) -> AsyncIterator[str]:
        """Go over the keys of every node; one that comes and goes meanwhile may be left out."""
        with self._errors.told(writes=False):
            if (await self._single.info("server")).get("redis_mode") == "cluster":
                await self._join_cluster()
            async for key in self._client.scan_iter(match=pattern, count=500):
                yield key.decode()

    async def ping(self) -> None:
        """Raise UnavailableError if scripts would fail now."""
        with self._errors.told(writes=False):
            await self._client.ping()

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._client.aclose()
        await self._single.aclose()

    async def _ran(self, call: _Call, *, repeatable: bool) -> Any:
        await self._take_turn()
        try:
            return await self._evaluate(*call)
        except (exceptions.MovedError, exceptions.AskError):
            await self._join_cluster()
            return await self._evaluate(*call)
        except exceptions.ConnectionError as lost:
            if not repeatable or isinstance(lost, NotConnectedError):
                raise
            return await self._repeat(call, lost)
        finally:
            self._free.release()

    async def _take_turn(self) -> None:
        if not self._free.locked():
            # Without a timer: there is nothing to wait for.
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
        except TimeoutError:
            raise NotConnectedError("all connections are in use") from None

    async def _repeat(self, call: _Call, lost: exceptions.ConnectionError) -> Any:
        try:
            return await self._evaluate(*call)
        except (*CLIENT_ERRORS, ResourceExhaustedError) as error:
            # Whatever kept this one out, the first may have been applied.
            raise lost from error

    async def _evaluate(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Any:
        await self._require_room(script, arguments)
        try:
            return await self._client.evalsha(script.sha, len(keys), *keys, *arguments)
        except exceptions.NoScriptError:
            # Redis was started again, or a failover went to one that never had it.
            await self._require_room(script, arguments)
            return await self._client.eval(script.source, len(keys), *keys, *arguments)

    async def _require_room(self, script: Script, arguments: Sequence[Argument]) -> None:
        if script.writes:
            await self._keeper.require_room(
                sum(len(str(each)) if isinstance(each, int) else len(each) for each in arguments)
            )

    async def _join_cluster(self) -> None:
        async with self._joining:
            if self._client is self._single:
                # It would send what comes first to any node, before it knows which is whose.
                self._client = await self._cluster().initialize()

    def _cluster(self) -> RedisCluster:
        # Learning anew who has which slots, after so many steps, would cut off other calls.
        return RedisCluster.from_url(
            self._url,
            retry=never(),
            reinitialize_steps=0,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            max_connections=self._max_connections,
            protocol=2,
        )
