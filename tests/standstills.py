"""Tests of what is about time itself, on machines that stand still now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from tests.patience import PATIENCE_S

_TICK_S = 0.005


class Standstills:
    """A context manager that notes for how long at most this process did not get to run."""

    longest_s = 0.0

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._notice, daemon=True)
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._watch.join()

    def _notice(self) -> None:
        before, is_over = time.monotonic(), False
        while not is_over:
            is_over = self._over.wait(_TICK_S)
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - before)
            before = now


async def undisturbed(attempt: Callable[[], Awaitable[object]], *, at_most_s: float) -> None:
    """For what is about time: try again where it fails while the process stood still for longer."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        with Standstills() as standstills:
            try:
                await attempt()
            except Exception:
                if standstills.longest_s < at_most_s or time.monotonic() > give_up:
                    raise
            else:
                return
