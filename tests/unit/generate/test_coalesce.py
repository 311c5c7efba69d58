"""Text that waits for a slow reader is joined; text that does not is never held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from groundwire_server.engines.engine import FinishReason
from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    Started,
    TextDelta,
)
from groundwire_server.services.coalesce import coalesced

STARTED = Started("r", "m", "e")
CITATION = CitationAdded(1, 0, 1, 0, 1)
FINISHED = Finished(FinishReason.STOP)


class Feed:
    """Events that the test hands over one by one."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[AnswerEvent | Exception | None] = asyncio.Queue()
        self._hungry = asyncio.Event()
        self.closed = False

    def push(self, *events: AnswerEvent | Exception | None) -> None:
        for event in events:
            self._events.put_nowait(event)

    async def taken(self) -> None:
        """Wait until the reader has dealt with every event, and wants the next or has ended."""
        self._hungry.clear()
        await self._hungry.wait()

    async def events(self) -> AsyncGenerator[AnswerEvent, None]:
        try:
            while (event := await self._next()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed = True
            self._hungry.set()

    async def _next(self) -> AnswerEvent | Exception | None:
        if self._events.empty():
            self._hungry.set()
        return await self._events.get()


async def test_a_reader_that_keeps_up_gets_every_delta_as_it_is_made() -> None:
    feed = Feed()
    async with aclosing(coalesced(feed.events())) as events:
        for text in ("The", " dome", " opens"):
            feed.push(TextDelta(text, 1))
            assert await anext(events) == TextDelta(text, 1)
        feed.push(None)
        assert [event async for event in events] == []


async def test_deltas_behind_a_pending_write_come_as_one() -> None:
    feed = Feed()
    async with aclosing(coalesced(feed.events())) as events:
        feed.push(TextDelta("The", 1))
        assert await anext(events) == TextDelta("The", 1)
        feed.push(TextDelta(" dome", 1), TextDelta(" opens", 2), CITATION, TextDelta(".", 1))
        feed.push(FINISHED)
        await feed.taken()
        feed.push(None)
        assert [event async for event in events] == [
            TextDelta(" dome opens", 3),
            CITATION,
            TextDelta(".", 1),
            FINISHED,
        ]


async def test_choices_are_never_mixed() -> None:
    feed = Feed()
    deltas = [TextDelta("a", 1, 0), TextDelta("b", 1, 1), TextDelta("c", 1, 0)]
    feed.push(STARTED, *deltas, None)
    async with aclosing(coalesced(feed.events())) as events:
        assert [event async for event in events] == [STARTED, *deltas]


async def test_an_error_comes_after_what_was_before_it() -> None:
    feed = Feed()
    feed.push(STARTED, TextDelta("The", 1), ConnectionError("gone"))
    async with aclosing(coalesced(feed.events())) as events:
        assert [await anext(events), await anext(events)] == [STARTED, TextDelta("The", 1)]
        with pytest.raises(ConnectionError, match="gone"):
            await anext(events)


@pytest.mark.parametrize("begun", [False, True])
async def test_closing_it_closes_what_it_reads(begun: bool) -> None:
    feed = Feed()
    feed.push(STARTED)
    async with aclosing(coalesced(feed.events())) as events:
        await anext(events)
        if begun:
            feed.push(TextDelta("The", 1), ConnectionError("too late to matter"))
            await feed.taken()
    assert feed.closed
