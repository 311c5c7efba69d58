"""The sessions of a server as one file: the log of a Redis that holds them and nothing else.

From a private Redis it is a copy of its log up to a moment, which a log that is only added to
allows while it is written. From a Redis of someone else's, each session is copied into a private
one. Either way a redis-server has loaded what the backup holds, and counted it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from groundwire_index.backup.files import sync_file
from groundwire_index.errors import DataLossError, UnavailableError
from groundwire_index.storage.failures import disk_full, storage_errors
from redis.asyncio import Redis

from groundwire_server.backup.session_keys import connected, copy_keys, count, require_none
from groundwire_server.memory.redis_folder import RedisFolder
from groundwire_server.memory.redis_room import RESERVE_BYTES
from groundwire_server.memory.redis_server import RedisServer

_PIECE = 2**22


def save_sessions(redis: Path, redis_url: str, staging: Path) -> tuple[Path, int]:
    """Copy the sessions behind a URL, or those of the private Redis in a folder if it is empty.

    The file with all of them, in the staging folder, and how many there are. Raises
    DataLossError if they cannot be loaded, and UnavailableError if the URL does not answer.
    """
    folder = RedisFolder(staging / "redis")
    with storage_errors(folder.path):
        folder.path.mkdir(mode=0o700)
        _require_room(folder.path)
        if not redis_url:
            _copy_log(RedisFolder(redis).data, folder.data)
    found = asyncio.run(_saved(folder, redis_url))
    with storage_errors(folder.data):
        sync_file(folder.data)
    return folder.data, found


def require_no_sessions(redis_url: str) -> None:
    """Raise FailedPreconditionError if the Redis behind a URL has sessions already."""
    asyncio.run(_require_none(redis_url))


def send_sessions(redis: Path, redis_url: str) -> None:
    """Copy the sessions of the private Redis in a folder to the one behind a URL."""
    asyncio.run(_sent(RedisFolder(redis), redis_url))


def _require_room(folder: Path) -> None:
    """What a redis-server says of a full disk is not that it is full."""
    if shutil.disk_usage(folder).free < RESERVE_BYTES:
        raise disk_full(folder)


def _copy_log(source: Path, target: Path) -> None:
    """Up to the end that it has now; what is cut short there, Redis cuts off when it loads it."""
    with target.open("xb") as copied:
        if not source.exists():
            return
        with source.open("rb") as file:
            left = os.fstat(file.fileno()).st_size
            while piece := file.read(min(_PIECE, left)):
                copied.write(piece)
                left -= len(piece)


async def _saved(folder: RedisFolder, redis_url: str) -> int:
    async with _loaded(folder) as own:
        if redis_url:
            async with connected(redis_url) as theirs:
                await copy_keys(theirs, own)
        return await count(own)


async def _sent(folder: RedisFolder, redis_url: str) -> None:
    async with _loaded(folder) as own, connected(redis_url) as theirs:
        await copy_keys(own, theirs)


async def _require_none(redis_url: str) -> None:
    async with connected(redis_url) as theirs:
        await require_none(theirs)


@asynccontextmanager
async def _loaded(folder: RedisFolder) -> AsyncIterator[Redis]:
    server = RedisServer(folder.path, fsync="everysec")
    try:
        try:
            await server.start()
        except UnavailableError as error:
            raise DataLossError(
                f"the sessions cannot be loaded: {error.message}", reason="SESSIONS_DAMAGED"
            ) from error
        async with connected(server.url) as client:
            yield client
    finally:
        await server.close()
