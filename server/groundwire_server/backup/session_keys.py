"""Copies the keys of sessions from one Redis to another, of whatever version or kind.

Each session is as it was at one moment, with the answers that its idempotency keys get; an
answer that is first given while sessions are copied may be missing.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from groundwire_index.errors import FailedPreconditionError
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from groundwire_server.memory.redis_errors import StoreErrors
from groundwire_server.memory.redis_keeper import SomeoneElse

_ALL = "gw:*"
_SESSIONS = "gw:*:session"
_SESSION, _TURNS = b":session", b":turns"
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
        client = Redis.from_url(url, socket_timeout=_TIMEOUT_S)
        try:
            if (await client.info("cluster")).get("cluster_enabled"):
                await client.aclose()
                # Of what is used here, the two offer the same.
                client = cast("Redis", RedisCluster.from_url(url, socket_timeout=_TIMEOUT_S))
            yield client
        finally:
            await client.aclose()


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
        hashes = sorted(key for key in keys if not key.endswith(_TURNS))
        while not await _copied(source, target, hashes):
            # It was deleted while it was copied, and perhaps made again under the same id.
            await target.delete(*hashes, *(_turns_of(key) for key in hashes))


async def _by_slot(source: Redis) -> Mapping[bytes, set[bytes]]:
    """Keys by their hash tag: those of one session together."""
    found: defaultdict[bytes, set[bytes]] = defaultdict(set)
    async for key in source.scan_iter(match=_ALL, count=_PAGE):
        found[key[: key.index(b"}")]].add(key)
    return found


async def _copied(source: Redis, target: Redis, keys: Sequence[bytes]) -> bool:
    """Copy what is there of these hashes, and the turns; whether that is all of one session."""
    hashes = await _read(source, keys)
    session = next((one for one in hashes if one[0].endswith(_SESSION)), None)
    if session is not None:
        await _copy_turns(source, target, session)
        if await source.hget(session[0], "birth") != session[1][b"birth"]:
            return False
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


async def _copy_turns(source: Redis, target: Redis, session: Hash) -> None:
    """Up to the head, which no later turn changes."""
    key, fields, ttl_ms = session
    turns, head, number = _turns_of(key), int(fields[b"head"]), 0
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


def _turns_of(key: bytes) -> bytes:
    return key[: key.index(b"}") + 1] + _TURNS
