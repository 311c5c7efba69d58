"""How tests wait for what is to happen: as long as a slow machine takes, and not for ever."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import grpc

T = TypeVar("T")

PATIENCE_S = 60.0
"""What takes longer does not happen: machines that run tests stand still for seconds."""

_LOOK_S = 0.005


class EndedBeforeError(AssertionError):
    """A call ended, and what was to happen meanwhile had not happened."""


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


async def in_time(happening: Awaitable[T], what: str = "it happens") -> T:
    """What comes of it; fail if that is not there in time."""
    try:
        return await asyncio.wait_for(happening, PATIENCE_S)
    except TimeoutError:
        raise AssertionError(f"not in {PATIENCE_S:g} s: {what}") from None


async def during(call: Any, happening: Awaitable[T]) -> T:
    """What comes of something that happens while a call, or a task, goes on.

    If that ends before, its error is raised, or EndedBeforeError: nobody waits for what can
    happen no more.
    """
    awaited = asyncio.ensure_future(happening)
    ended = asyncio.ensure_future(_end_of(call))
    try:
        done, _ = await asyncio.wait(
            {awaited, ended}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED
        )
        if awaited in done:
            return awaited.result()
        how = ended.result() if ended in done else f"it has not in {PATIENCE_S:g} s"
        raise EndedBeforeError(f"it was to happen before the call ended: {how}")
    finally:
        awaited.cancel()
        ended.cancel()
        await asyncio.wait({awaited, ended})


def longer_each_time(first_s: float) -> Iterator[float]:
    """Time limits for what has to be under way when its time is over: the next, if it was not."""
    limit_s = first_s
    while limit_s < 2 * PATIENCE_S:
        yield limit_s
        limit_s *= 4
    raise AssertionError(f"it was not under way within {limit_s / 4:g} s")


async def _end_of(call: Any) -> str:
    if isinstance(call, grpc.aio.Call):
        return f"{await call.code()}: {await call.details()}"
    await asyncio.wait({call})
    return "it was cancelled" if call.cancelled() else f"it gave {call.result()!r}"
