"""How tests wait for what is to happen: as long as a slow machine takes, and not for ever."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

PATIENCE_S = 60.0
"""What takes longer does not happen: machines that run tests stand still for seconds."""

_LOOK_S = 0.005


async def until(holds: Callable[[], bool | Awaitable[bool]], what: str = "it holds") -> None:
    """Return once it holds; fail if it does not in time. Where there is an event, wait for that."""
    give_up = time.monotonic() + PATIENCE_S
    while not (await held if inspect.isawaitable(held := holds()) else held):
        assert time.monotonic() < give_up, f"not in {PATIENCE_S:g} s: {what}"
        await asyncio.sleep(_LOOK_S)


def until_seen(holds: Callable[[], bool], what: str = "it holds") -> None:
    """See `until`, for tests and threads that have no event loop."""
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up, f"not in {PATIENCE_S:g} s: {what}"
        time.sleep(_LOOK_S)
