"""A cache in Redis or Valkey."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

from groundwire_index.errors import InvalidArgumentError, UnavailableError
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

# A cache that takes longer is slower than doing without.
TIMEOUT_S = 0.1
# One that has failed is left alone for so long, so that it does not slow down every call.
LEFT_ALONE_S = 1.0
_CONNECTIONS = 32

log = logging.getLogger(__name__)


class RedisCache:
    """Keeps values until they expire, or until Redis needs their memory."""

    name = "cache"

    def __init__(
        self,
        url: str,
        *,
        ttl_s: float,
        on_bypass: Callable[[], None],
        timeout_s: float = TIMEOUT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a redis://, rediss:// or unix:// URL; InvalidArgumentError for any other.

        ``on_bypass`` is called for each call that goes without the cache because it fails.
        """
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=timeout_s,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
        except ValueError as error:
            raise InvalidArgumentError("cache_url", str(error)) from error
        self._redis = Redis.from_pool(pool)
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
        try:
            async with asyncio.timeout(self._timeout_s * 10):
                await self._redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise UnavailableError(
                f"the cache is away, and everything is done without it: {error}",
                reason="CACHE_AWAY",
            ) from None

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._redis.aclose()

    async def get(self, tenant: str, names: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values of these names, in order; None for one that is not there."""
        found: Sequence[bytes | None] = [None] * len(names)
        if names:
            async with self._asked() as works:
                if works:
                    # As it is not told to decode, there is no str among them.
                    found = cast("list[bytes | None]", await self._redis.mget(_keys(tenant, names)))
        return found

    async def put(self, tenant: str, values: Mapping[bytes, bytes]) -> None:
        """Keep values, in the place of those of the same names."""
        if not values:
            return
        async with self._asked() as works:
            if works:
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for key, value in zip(
                        _keys(tenant, list(values)), values.values(), strict=True
                    ):
                        pipeline.set(key, value, px=self._ttl_ms)
                    await pipeline.execute()

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[bool]:
        """Whether Redis is to be asked in the block; what it raises there is not missed."""
        if self._now() < self._works_from:
            self._on_bypass()
            yield False
            return
        try:
            # The socket's own limit is for each read; many values take many.
            async with asyncio.timeout(self._timeout_s * 2):
                yield True
            self._failed = False
        except (RedisError, OSError, TimeoutError) as error:
            self._works_from = self._now() + LEFT_ALONE_S
            self._on_bypass()
            if not self._failed:
                log.warning("the cache does not answer, and is done without: %r", error)
            self._failed = True


def _keys(tenant: str, names: Sequence[bytes]) -> list[str]:
    # Of one length, so that no tenant's name can run into another's values.
    of = hashlib.blake2b(tenant.encode(), digest_size=16).hexdigest()
    return [f"gw:cache:{of}:{name.hex()}" for name in names]
