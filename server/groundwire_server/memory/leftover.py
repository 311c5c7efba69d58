"""A redis-server that outlived its owner: found and stopped before another one starts."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress

from groundwire_index.errors import FailedPreconditionError

from groundwire_server.blocking import run_blocking
from groundwire_server.memory.redis_folder import RedisFolder

log = logging.getLogger(__name__)

_POLL_S = 0.02
# What is killed ends when the system gets to it, whatever grace it was given before.
_KILLED_S = 10.0
_LET_GO_S = 10.0


async def stop_leftover(folder: RedisFolder, *, grace_s: float) -> None:
    """Stop every redis-server on the folder, by force after ``grace_s`` seconds.

    Raises FailedPreconditionError if one is there that cannot be stopped.
    """
    for stop, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, _KILLED_S)):
        if await _ended(folder, stop, patience_s):
            break
    else:
        raise _still_there(folder, f"processes {await run_blocking(folder.running)}")
    # One in another container has a process id that means nothing here. One that was killed can
    # be gone from the list before its last thread lets go of the socket.
    deadline = time.monotonic() + _LET_GO_S
    while await _is_answered(folder):
        if time.monotonic() > deadline:
            raise _still_there(folder, "a process that this one cannot see")
        await asyncio.sleep(_POLL_S)


async def _ended(folder: RedisFolder, stop: signal.Signals, patience_s: float) -> bool:
    for pid in await run_blocking(folder.running):
        log.warning("a redis-server of an earlier run is stopped", extra={"redis_pid": pid})
        with suppress(ProcessLookupError):
            os.kill(pid, stop)
    deadline = time.monotonic() + patience_s
    while await run_blocking(folder.running):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


async def _is_answered(folder: RedisFolder) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(folder.socket)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def _still_there(folder: RedisFolder, who: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"a redis-server runs on {folder.path} already and does not stop ({who}): stop it first",
        reason="REDIS_RUNNING",
    )
