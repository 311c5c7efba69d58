"""Reading an engine so that it is always let go of, and its refusals come before its words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from groundwire_server.engines.engine import EngineEvent


async def settled(
    events: AsyncGenerator[EngineEvent, None], settle_s: float
) -> AsyncGenerator[EngineEvent | None, None]:
    """The events of an engine, after one None that says the engine has taken the request.

    None comes with the first event, or after ``settle_s`` seconds if that is sooner: an error
    of the engine until then comes in its place, and a reader who waits for a long prompt is
    shown its sources meanwhile. Closing this closes the engine's generator, even while it
    works on its first event.
    """
    first = asyncio.create_task(_next(events))
    try:
        await asyncio.wait({first}, timeout=settle_s)
        if first.done():
            first.result()
        yield None
        yield await first
        async for event in events:
            yield event
    finally:
        if first.cancel():
            await asyncio.wait({first})
        await events.aclose()


async def _next(events: AsyncGenerator[EngineEvent, None]) -> EngineEvent:
    return await anext(events)
