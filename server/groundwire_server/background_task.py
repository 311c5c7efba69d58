"""Work that goes on beside the calls, as a component."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class BackgroundTask:
    """Runs from `start` to `close`, and should not end by itself."""

    def __init__(self, name: str, run: Callable[[], Coroutine[None, None, None]]) -> None:
        self.name = name
        self._run = run
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def check(self) -> None:
        """Raise what has ended it, which nothing should."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def close(self) -> None:
        """End it where it waits. Idempotent. Raises what had ended it before, if anything had."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
