"""How long a client may keep a call waiting by not reading what it is sent."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from groundwire_server.slow_reader import SlowReaderError

DEFAULT_S = 30.0


class Patience:
    """Ends the block, in which one task writes, with SlowReaderError if a write takes too long.

    gRPC holds a write back while the client's flow control window is full. The block sets
    ``since`` to the loop's time when it begins to write, and to None when that is done. One timer
    looks at it: a timer for each write would cost more than the write itself.
    """

    __slots__ = ("_loop", "_over", "_patience_s", "_task", "_timer", "since")

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._over = False
        self.since: float | None = None

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(self._patience_s, self._look)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        # Whoever else has cancelled the task, such as the client that leaves, goes first.
        if self._over and kind is asyncio.CancelledError and not self._cancelled_besides():
            raise SlowReaderError(self._patience_s) from error

    def _look(self) -> None:
        waited_s = 0.0 if self.since is None else self._loop.time() - self.since
        if waited_s < self._patience_s:
            self._timer = self._loop.call_later(self._patience_s - waited_s, self._look)
        elif self._task is not None:
            self._over = True
            self._task.cancel()

    def _cancelled_besides(self) -> bool:
        return self._task is None or self._task.uncancel() > 0
