"""Joining text that waits for a slow reader, so that an engine never waits for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from groundwire_server.grounding.events import AnswerEvent, TextDelta


async def coalesced(
    events: AsyncGenerator[AnswerEvent, None],
) -> AsyncGenerator[AnswerEvent, None]:
    """The same events; text deltas that wait behind one another come as one.

    Events are read as fast as they are made, by a task of its own that ends with this
    generator. What waits is bounded by the length of the answer. A delta with nothing before
    it is given at once.
    """
    waiting: deque[AnswerEvent] = deque()
    changed = asyncio.Event()

    async def read() -> None:
        async with aclosing(events):
            async for event in events:
                _append(waiting, event)
                changed.set()

    reader = asyncio.create_task(read())
    reader.add_done_callback(lambda _: changed.set())
    try:
        while not reader.done() or waiting:
            await changed.wait()
            changed.clear()
            while waiting:
                yield waiting.popleft()
        reader.result()
    finally:
        reader.cancel()
        await asyncio.wait({reader})
        if not reader.cancelled():
            # Retrieved, so that nothing is reported twice.
            reader.exception()


def _append(waiting: deque[AnswerEvent], event: AnswerEvent) -> None:
    before = waiting[-1] if waiting else None
    if (
        isinstance(event, TextDelta)
        and isinstance(before, TextDelta)
        and before.choice == event.choice
    ):
        waiting[-1] = replace(
            before,
            text=before.text + event.text,
            token_count=before.token_count + event.token_count,
            logprobs=before.logprobs + event.logprobs,
        )
    else:
        waiting.append(event)
