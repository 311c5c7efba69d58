"""What the index needs now and then, whether or not anyone writes to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from groundwire_index.errors import GroundwireError

from groundwire_server.blocking import run_blocking

log = logging.getLogger(__name__)

PURGE_PERIOD_S = 300.0
"""By so much can deleted text outlive its retention of an hour; a look costs microseconds."""


class IndexUpkeep:
    """Overwrites deleted text after its retention, in collections that nobody writes to."""

    name = "index upkeep"

    def __init__(
        self,
        purge: Callable[[], int],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take `Index.purge`, of an index that is open from `start` to `close`."""
        self._purge = purge
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._purge_now_and_then(), name=self.name)

    async def check(self) -> None:
        """Raise what has ended it, which nothing should."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def close(self) -> None:
        """Stop; a purge that has begun is finished by whoever closes the index."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _purge_now_and_then(self) -> None:
        while True:
            await self._sleep(PURGE_PERIOD_S)
            try:
                purged = await run_blocking(self._purge)
            except GroundwireError as error:
                log.warning("deleted records could not be purged: %s", error)
            else:
                log.debug("%d deleted records were purged", purged)
