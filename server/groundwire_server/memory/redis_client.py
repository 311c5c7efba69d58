"""One Redis, asked with as little work in Python as redis-py lets it be done with."""

from __future__ import annotations

import asyncio
from typing import Any

from hiredis import pack_command
from redis import exceptions
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from groundwire_server.memory.redis_errors import NotConnectedError
from groundwire_server.memory.redis_sentinel import WatchedPool, is_watched, watched

# The client cannot know which commands may be sent twice. It drops the connection on these
# errors; one to a replica may be to what was the primary, and is behind that address no more.
_DROPPED = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ReadOnlyError)


def never() -> Retry:
    """No second try of anything."""
    return Retry(NoBackoff(), 0, supported_errors=_DROPPED)


class _Told(ConnectionPool):
    """Tells apart a connection that could not be had from one that was lost in use."""

    connect_s: float = 0.0
    """Within so many seconds a connection is there, and greeted."""

    async def get_connection(self, *args: Any, **options: Any) -> Any:
        """Raise NotConnectedError if none can be had."""
        try:
            async with asyncio.timeout(self.connect_s):
                return await super().get_connection(*args, **options)  # type: ignore[no-untyped-call]
        except (exceptions.AuthenticationError, exceptions.BusyLoadingError):
            raise
        except (exceptions.ConnectionError, exceptions.TimeoutError, TimeoutError) as error:
            why = str(error) or f"no connection within {self.connect_s:g} s"
            raise NotConnectedError(why) from error


class _Pool(_Told, ConnectionPool):
    """Of one server."""


class _WatchedPool(_Told, WatchedPool):
    """Of the primary that Sentinels name."""


def _pool(url: str, *, timeout_s: float, max_connections: int) -> _Told:
    if is_watched(url):
        return _WatchedPool(
            watched(url), never(), timeout_s=timeout_s, max_connections=max_connections
        )
    return _Pool.from_url(
        url,
        retry=never(),
        socket_timeout=None,
        socket_connect_timeout=timeout_s,
        max_connections=max_connections,
        protocol=2,
    )


class SingleRedis(Redis):
    """A Redis with one timer for a command and its answer.

    redis-py packs a command in Python, makes a task to write it with a timeout, and another timer
    to read; it measures each for an observer that is not there. That cost as much as all the rest.
    """

    def __init__(self, url: str, *, timeout_s: float, max_connections: int) -> None:
        """Take a redis://, rediss://, unix:// or Sentinel URL; ValueError for any other."""
        pool = _pool(url, timeout_s=timeout_s, max_connections=max_connections)
        pool.connect_s = timeout_s
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self._timeout_s = timeout_s

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command; its answer."""
        pool = self.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.send_packed_command(pack_command(args))
                return await self.parse_response(connection, args[0], **options)
        except TimeoutError as error:
            raise exceptions.TimeoutError(f"no answer within {self._timeout_s:g} s") from error
        except _DROPPED:
            await connection.disconnect()
            raise
        finally:
            await pool.release(connection)
