"""A bound on how much of the hungry work runs at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from groundwire_server.blocking import run_blocking

P = ParamSpec("P")
R = TypeVar("R")


class Slots:
    """Runs at most so many blocking functions at a time; the others wait for their turn.

    A caller that is cancelled stops waiting at once, but its slot stays taken until its
    function ends: the bound is on what runs, not on who waits.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await the function's result."""
        await self._free.acquire()
        work = asyncio.ensure_future(run_blocking(function, *args, **kwargs))
        work.add_done_callback(lambda _: self._free.release())
        return await asyncio.shield(work)
