"""Copies the keys of sessions from one Redis to another, of whatever version or kind.

Each session is as it was at one moment, with the answers that its idempotency keys get; an
answer that is first given while sessions are copied may be missing. A fork is copied with what it
shares, though that be of another moment.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from groundwire_index.errors import FailedPreconditionError
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from groundwire_server.backup.session_forks import incomplete_forks, needed_by, turns_of
from groundwire_server.memory.redis_client import SingleRedis
from groundwire_server.memory.redis_errors import StoreErrors
from groundwire_server.memory.redis_keeper import SomeoneElse
from groundwire_server.memory.redis_sentinel import is_watched

_ALL = "gw:*"
_SESSIONS = "gw:*:session"
_SESSION, _LIST, _COPY = b"}:session", b"}:listed", b"}:copy:"
_TURNS_KEY = re.compile(rb"\}:turns(:[0-9a-f]+)?$")
_HELD = re.compile(rb"\}:held(:[0-9a-f]+)?$")
_ALL_TURNS = 2**53
# So often sessions are copied again because forks were made of them meanwhile.
_ROUNDS = 10
_PAGE = 500
# A turn may have more than a mebibyte.
_TURNS_AT_ONCE = 32
_TIMEOUT_S = 10.0

Hash = tuple[bytes, Mapping[bytes, bytes], int]
"""Key, fields, and milliseconds to live; below 0: for ever."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    """A client of the Redis behind a URL, or of the cluster that it is part of.

    What goes wrong inside is raised as UnavailableError or ResourceExhaustedError.
    """
    errors = StoreErrors(SomeoneElse(url).remedy)
    with errors.told(writes=False):
        client = _client(url)
        try:
            if (await client.info("cluster")).get("cluster_enabled"):
                await client.aclose()
                # Of what is used here, the two offer the same.
                client = cast("Redis", RedisCluster.from_url(url, socket_timeout=_TIMEOUT_S))
            yield client
        finally:
            await client.aclose()


def _client(url: str) -> Redis:
    if is_watched(url):
        return SingleRedis(url, timeout_s=_TIMEOUT_S, max_connections=_TURNS_AT_ONCE)
    return Redis.from_url(url, socket_timeout=_TIMEOUT_S)


async def count(client: Redis) -> int:
    """How many sessions there are."""
    return len({key async for key in client.scan_iter(match=_SESSIONS, count=_PAGE)})


async def require_none(client: Redis) -> None:
    """Raise FailedPreconditionError if there is anything of a session."""
    async for key in client.scan_iter(match=_ALL, count=_PAGE):
        raise FailedPreconditionError(
            f"the Redis of redis_url holds sessions already, such as the key {key.decode()}: name "
            "one without any, or remove them first (all keys that begin with gw:)",
            reason="SESSIONS_EXIST",
        )


async def copy_keys(source: Redis, target: Redis) -> None:
    """Copy all sessions, to where there are none."""
    for keys in (await _by_slot(source)).values():
        await _copy_slot(source, target, keys)
    for _ in range(_ROUNDS):
        incomplete = await incomplete_forks(target)
        if not incomplete:
            return
        # What they share was copied before they were made, or is gone with them.
        for tag in incomplete | await needed_by(target, incomplete):
            await _remove(target, await _keys_of(target, tag))
            await _copy_slot(source, target, await _keys_of(source, tag))
    for tag in await incomplete_forks(target):
        await _remove(target, await _keys_of(target, tag))


async def _by_slot(source: Redis) -> Mapping[bytes, set[bytes]]:
    """Keys by their hash tag: those of one session together."""
    found: defaultdict[bytes, set[bytes]] = defaultdict(set)
    async for key in source.scan_iter(match=_ALL, count=_PAGE):
        found[key[: key.index(b"}") + 1]].add(key)
    return found


async def _keys_of(client: Redis, tag: bytes) -> set[bytes]:
    pattern = re.sub(rb"([\\\[\]?*])", rb"\\\1", tag) + b":*"
    return {key async for key in client.scan_iter(match=pattern, count=_PAGE)}


async def _copy_slot(source: Redis, target: Redis, keys: set[bytes]) -> None:
    lists = [key for key in keys if key.endswith(_LIST)]
    for key in lists:
        await _copy_list(source, target, key)
    # Copies of lists are read for minutes only.
    hashes = sorted(k for k in keys if not _TURNS_KEY.search(k) and _COPY not in k)
    hashes = [key for key in hashes if key not in lists]
    while not await _copied(source, target, hashes):
        # It was deleted while it was copied, and perhaps made again under the same id.
        await _remove(target, {*hashes, *map(turns_of, hashes)})


async def _remove(target: Redis, keys: Iterable[bytes]) -> None:
    for key in keys:
        await target.delete(key)


async def _copy_list(source: Redis, target: Redis, key: bytes) -> None:
    entries: Any = await source.zrange(key, 0, -1, withscores=True)
    for at in range(0, len(entries), _PAGE):
        await target.zadd(key, dict(entries[at : at + _PAGE]))


async def _copied(source: Redis, target: Redis, keys: Sequence[bytes]) -> bool:
    """Copy what is there of these hashes, and the turns; whether that is all of one session."""
    hashes = await _read(source, keys)
    session = next((one for one in hashes if one[0].endswith(_SESSION)), None)
    if session is not None:
        ttl_ms = -1 if b"held" in session[1] else session[2]
        await _copy_turns(source, target, turns_of(session[0]), int(session[1][b"head"]), ttl_ms)
        if await source.hget(session[0], "birth") != session[1][b"birth"]:
            return False
    for key, fields, _ in hashes:
        if _HELD.search(key) and not (session and fields[b"birth"] == session[1][b"birth"]):
            await _copy_turns(source, target, turns_of(key), _ALL_TURNS, -1)
    await _write(target, hashes)
    return True


async def _read(source: Redis, keys: Sequence[bytes]) -> list[Hash]:
    """The hashes as they are at one moment; those that are gone are left out."""
    async with source.pipeline(transaction=True) as pipe:
        for key in keys:
            pipe.hgetall(key)
            pipe.pttl(key)
        answers: list[Any] = await pipe.execute() if keys else []
    found = zip(keys, answers[::2], answers[1::2], strict=True)
    return [(key, fields, ttl_ms) for key, fields, ttl_ms in found if fields]


async def _copy_turns(source: Redis, target: Redis, turns: bytes, head: int, ttl_ms: int) -> None:
    """Up to the head, which no later turn changes."""
    number = 0
    while number < head:
        page: Any = await source.xrange(turns, f"{number + 1}-0", f"{head}-0", _TURNS_AT_ONCE)
        if not page:
            return
        async with target.pipeline(transaction=False) as pipe:
            for entry, content in page:
                pipe.xadd(turns, content, id=entry)
            _expire(pipe, turns, ttl_ms)
            await pipe.execute()
        number = int(page[-1][0].partition(b"-")[0])


async def _write(target: Redis, hashes: Iterable[Hash]) -> None:
    async with target.pipeline(transaction=False) as pipe:
        for key, fields, ttl_ms in hashes:
            pipe.hset(key, mapping=cast("dict[Any, Any]", fields))
            _expire(pipe, key, ttl_ms)
        await pipe.execute()


def _expire(pipe: Any, key: bytes, ttl_ms: int) -> None:
    if ttl_ms >= 0:
        pipe.pexpireat(key, round(time.time() * 1000) + ttl_ms)
