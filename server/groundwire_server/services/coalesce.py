"""Joining text that waits for a slow reader, so that an engine never waits for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

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
                waiting.append(event)
                changed.set()

    reader = asyncio.create_task(read())
    reader.add_done_callback(lambda _: changed.set())
    try:
        while not reader.done() or waiting:
            await changed.wait()
            changed.clear()
            while waiting:
                yield _next(waiting)
        reader.result()
    finally:
        reader.cancel()
        await asyncio.wait({reader})
        if not reader.cancelled():
            # Retrieved, so that nothing is reported twice.
            reader.exception()


def _next(waiting: deque[AnswerEvent]) -> AnswerEvent:
    first = waiting.popleft()
    if not isinstance(first, TextDelta):
        return first
    run = [first]
    while waiting and isinstance(event := waiting[0], TextDelta) and event.choice == first.choice:
        run.append(event)
        waiting.popleft()
    return first if len(run) == 1 else _joined(run)


def _joined(run: Sequence[TextDelta]) -> TextDelta:
    return TextDelta(
        text="".join(delta.text for delta in run),
        token_count=sum(delta.token_count for delta in run),
        choice=run[0].choice,
        logprobs=tuple(logprob for delta in run for logprob in delta.logprobs),
    )
