"""A cache in Redis or Valkey."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import cast

from groundwire_index.errors import InvalidArgumentError, UnavailableError
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

# What takes longer is mostly slower than doing without.
TIMEOUT_S = 0.1
# One that has failed is left alone for so long, so that it does not slow down every call.
LEFT_ALONE_S = 1.0
# Calls that it has at once; others wait for their turn, which is part of no time limit.
_CONNECTIONS = 32
# Whoever asks for nothing but the cache itself waits so many times as long.
_PATIENCE = 10
# Names that are looked through, or removed, at a time.
_PAGE = 1000
# What tells lists from values.
_LIST = "-list"

log = logging.getLogger(__name__)


class RedisCache:
    """Keeps values until they expire, or until Redis needs their memory."""

    name = "cache"

    def __init__(
        self,
        url: str,
        kind: str,
        *,
        ttl_s: float,
        on_bypass: Callable[[], None],
        timeout_s: float = TIMEOUT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a redis://, rediss:// or unix:// URL; InvalidArgumentError for any other.

        Caches of another ``kind`` in the same Redis have names of their own. ``on_bypass`` is
        called for each call that goes without the cache because it fails.
        """
        # To bound a write, redis-py waits for it in a way that loses cancellations: whoever left
        # while it looked here had an answer made that nobody read. `_asked` bounds the whole.
        self._redis = _connected(url, None)
        self._patient = _connected(url, timeout_s * _PATIENCE)
        self._turns = asyncio.Semaphore(_CONNECTIONS)
        self._kind = kind
        self._ttl_ms = round(ttl_s * 1000)
        self._on_bypass = on_bypass
        self._timeout_s = timeout_s
        self._now = now
        self._works_from = 0.0
        self._failed = False

    async def start(self) -> None:
        """Do nothing: connections are made when they are used."""

    async def check(self) -> None:
        """Raise UnavailableError if nothing would be found now."""
        with _away():
            async with asyncio.timeout(self._timeout_s * _PATIENCE):
                await self._patient.ping()

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._redis.aclose()
        await self._patient.aclose()

    async def get(self, tenant: str, names: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values of these names, in order; None for one that is not there."""
        found: Sequence[bytes | None] = [None] * len(names)
        if names:
            async with self._asked() as works:
                if works:
                    # As it is not told to decode, there is no str among them.
                    found = cast(
                        "list[bytes | None]", await self._redis.mget(self._keys(tenant, names))
                    )
        return found

    async def put(self, tenant: str, values: Mapping[bytes, bytes]) -> None:
        """Keep values, in the place of those of the same names."""
        if not values:
            return
        async with self._asked() as works:
            if works:
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for key, value in zip(
                        self._keys(tenant, list(values)), values.values(), strict=True
                    ):
                        pipeline.set(key, value, px=self._ttl_ms)
                    await pipeline.execute()

    async def recent(self, tenant: str, name: bytes) -> Sequence[bytes]:
        """The values of a list, the last one first."""
        found: Sequence[bytes] = ()
        async with self._asked() as works:
            if works:
                found = cast(
                    "list[bytes]", await self._redis.lrange(self._list(tenant, name), 0, -1)
                )
        return found

    async def add(self, tenant: str, name: bytes, value: bytes, *, most: int) -> None:
        """Put a value first, and keep the first ``most`` of the list."""
        key = self._list(tenant, name)
        async with self._asked() as works:
            if works:
                # Together, so that no list is without an end.
                async with self._redis.pipeline(transaction=True) as pipeline:
                    pipeline.lpush(key, value)
                    pipeline.ltrim(key, 0, most - 1)
                    pipeline.pexpire(key, self._ttl_ms)
                    await pipeline.execute()

    async def count(self, tenant: str) -> int:
        """How many values there are of a tenant; those in lists are not counted."""
        return len({key async for key in self._found(f"{self._prefix(tenant)}:*")})

    async def clear(self, tenant: str) -> int:
        """Remove everything of a tenant; how many values there were."""
        prefix = self._prefix(tenant)
        values = {key async for key in self._found(f"{prefix}:*")}
        lists = {key async for key in self._found(f"{prefix}{_LIST}:*")}
        keys = [*values, *lists]
        with _away():
            for start in range(0, len(keys), _PAGE):
                await self._patient.unlink(*keys[start : start + _PAGE])
        return len(values)

    async def _found(self, pattern: str) -> AsyncIterator[bytes]:
        with _away():
            async for key in self._patient.scan_iter(match=pattern, count=_PAGE):
                yield key

    def _keys(self, tenant: str, names: Sequence[bytes]) -> list[str]:
        prefix = self._prefix(tenant)
        return [f"{prefix}:{name.hex()}" for name in names]

    def _list(self, tenant: str, name: bytes) -> str:
        return f"{self._prefix(tenant)}{_LIST}:{name.hex()}"

    def _prefix(self, tenant: str) -> str:
        # Of one length, so that no tenant's name can run into another's values.
        of = hashlib.blake2b(tenant.encode(), digest_size=16).hexdigest()
        return f"gw:cache:{of}:{self._kind}"

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[bool]:
        """Whether Redis is to be asked in the block; what it raises there is not missed.

        Waiting for one's turn is no fault of Redis, and its time does not begin before.
        """
        async with self._turns:
            if self._now() < self._works_from:
                self._on_bypass()
                yield False
                return
            try:
                async with asyncio.timeout(self._timeout_s):
                    yield True
                self._failed = False
            except (RedisError, OSError, TimeoutError) as error:
                self._works_from = self._now() + LEFT_ALONE_S
                self._on_bypass()
                if not self._failed:
                    log.warning("the cache does not answer, and is done without: %r", error)
                self._failed = True


def _connected(url: str, timeout_s: float | None) -> Redis:
    try:
        return Redis.from_pool(
            ConnectionPool.from_url(
                url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
        )
    except ValueError as error:
        raise InvalidArgumentError("cache_url", str(error)) from error


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise UnavailableError(
            f"the cache is away, and everything is done without it: {error}", reason="CACHE_AWAY"
        ) from None
