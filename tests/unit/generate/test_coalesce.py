"""Text that waits for a slow reader is joined; text that does not is never held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from groundwire_server.engines.engine import FinishReason, TokenLogprob
from groundwire_server.grounding.abort import cancelled_by, was_aborted
from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
)
from groundwire_server.observability.answers import observed
from groundwire_server.services.backlog import Backlog
from groundwire_server.services.coalesce import coalesced
from groundwire_server.slow_reader import SlowReaderError

STARTED = Started("r", "m", "e")
CITATION = CitationAdded(1, 0, 1, 0, 1)
FINISHED = Finished(FinishReason.STOP)


class Feed:
    """Events that the test hands over one by one."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[AnswerEvent | Exception | None] = asyncio.Queue()
        self._hungry = asyncio.Event()
        self._taken = asyncio.Event()
        self._closed = asyncio.Event()

    def push(self, *events: AnswerEvent | Exception | None) -> None:
        for event in events:
            self._events.put_nowait(event)

    async def taken(self) -> None:
        """Wait until the reader has dealt with every event, and wants the next or has ended."""
        self._hungry.clear()
        await self._hungry.wait()

    async def left(self, count: int) -> None:
        """Wait until only so many events have not been given; the reader then does nothing."""
        while self._events.qsize() != count:
            await self._taken.wait()
            self._taken.clear()
        await asyncio.sleep(0)
        assert self._events.qsize() == count

    async def let_go(self) -> None:
        """Wait until nobody reads this any more."""
        await self._closed.wait()

    async def events(self) -> AsyncGenerator[AnswerEvent, None]:
        try:
            while (event := await self._next()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self._closed.set()
            self._hungry.set()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    async def _next(self) -> AnswerEvent | Exception | None:
        if self._events.empty():
            self._hungry.set()
        event = await self._events.get()
        self._taken.set()
        return event


def reading(feed: Feed) -> AsyncGenerator[AnswerEvent, None]:
    return coalesced(feed.events(), patience_s=30)


async def test_a_reader_that_keeps_up_gets_every_delta_as_it_is_made() -> None:
    feed = Feed()
    async with aclosing(reading(feed)) as events:
        for text in ("The", " dome", " opens"):
            feed.push(TextDelta(text, 1))
            assert await anext(events) == TextDelta(text, 1)
        feed.push(None)
        assert [event async for event in events] == []


async def test_deltas_behind_a_pending_write_come_as_one() -> None:
    feed = Feed()
    async with aclosing(reading(feed)) as events:
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


async def test_each_choice_is_joined_to_itself_up_to_what_else_it_says() -> None:
    feed = Feed()
    ended = Finished(FinishReason.STOP, choice=1)
    feed.push(STARTED, TextDelta("a", 1, 0), TextDelta("x", 1, 1), TextDelta("b", 2, 0))
    feed.push(CITATION, TextDelta("y", 1, 1), TextDelta("c", 1, 0), ended, FINISHED, None)
    async with aclosing(reading(feed)) as events:
        assert [event async for event in events] == [
            STARTED,
            TextDelta("ab", 3, 0),
            TextDelta("xy", 2, 1),
            CITATION,
            TextDelta("c", 1, 0),
            ended,
            FINISHED,
        ]


async def test_reasoning_and_the_pieces_of_one_call_are_joined_too() -> None:
    feed = Feed()
    feed.push(STARTED, ReasoningDelta("I "), ReasoningDelta("see."), TextDelta("So", 1))
    feed.push(ToolCallDelta(0, "c-1", "dome", ""), ToolCallDelta(0, "", "", "{"))
    feed.push(ToolCallDelta(0, "", "", "}"), ToolCallDelta(1, "c-2", "dome", "{}"))
    feed.push(ReasoningDelta("Aha", 1), FINISHED, None)
    async with aclosing(reading(feed)) as events:
        assert [event async for event in events] == [
            STARTED,
            ReasoningDelta("I see."),
            TextDelta("So", 1),
            ToolCallDelta(0, "c-1", "dome", "{}"),
            ToolCallDelta(1, "c-2", "dome", "{}"),
            ReasoningDelta("Aha", 1),
            FINISHED,
        ]


async def test_much_reasoning_and_long_calls_take_room_too() -> None:
    for delta in (ReasoningDelta("x" * 100), ToolCallDelta(0, "", "", "x" * 100)):
        backlog = Backlog()
        for _ in range(3):
            backlog.add(delta)
        assert backlog.bytes > 300
        backlog.take()
        assert backlog.bytes == 0


async def test_logprobs_of_joined_tokens_keep_their_order() -> None:
    feed = Feed()
    first, second = TokenLogprob("a", -0.5, (("b", -1.5),)), TokenLogprob("c", -0.25)
    feed.push(STARTED, TextDelta("a", 1, 0, (first,)), TextDelta("c", 1, 0, (second,)), None)
    async with aclosing(reading(feed)) as events:
        *_, joined = [event async for event in events]
    assert joined == TextDelta("ac", 2, 0, (first, second))


async def test_reasoning_and_the_arguments_of_one_call_are_joined_too() -> None:
    feed = Feed()
    feed.push(STARTED, ReasoningDelta("Let me"), ReasoningDelta(" see"), TextDelta("So", 1))
    feed.push(ToolCallDelta(0, "a", "look", '{"at'), ToolCallDelta(0, "", "", '": 1}'))
    feed.push(ToolCallDelta(1, "b", "look", "{"), ToolCallDelta(1, "", "", "}"), FINISHED, None)
    async with aclosing(reading(feed)) as events:
        assert [event async for event in events] == [
            STARTED,
            ReasoningDelta("Let me see"),
            TextDelta("So", 1),
            ToolCallDelta(0, "a", "look", '{"at": 1}'),
            ToolCallDelta(1, "b", "look", "{}"),
            FINISHED,
        ]


async def test_what_is_joined_is_not_longer_than_a_message_may_well_be() -> None:
    feed = Feed()
    page = TextDelta("x" * 40_000, 1)
    feed.push(STARTED, *[page] * 5, None)
    async with aclosing(reading(feed)) as events:
        assert [event async for event in events] == [
            STARTED,
            *[TextDelta("x" * 80_000, 2)] * 2,
            page,
        ]


async def test_the_engine_waits_while_too_much_does_and_goes_on_when_there_is_room() -> None:
    feed = Feed()
    pages = [TextDelta(letter * 1000, 1) for letter in "abc"]
    events = coalesced(feed.events(), patience_s=30, most_waiting_bytes=1500)
    async with aclosing(events):
        feed.push(STARTED)
        assert await anext(events) == STARTED
        feed.push(*pages, None)
        # Two are over the limit: the third is not taken before the reader comes back.
        await feed.left(2)
        assert [event async for event in events] == [
            TextDelta("a" * 1000 + "b" * 1000, 2),
            pages[2],
        ]


async def test_a_reader_that_makes_no_room_is_told_so_when_it_reads_on() -> None:
    feed = Feed()
    events = coalesced(feed.events(), patience_s=0.05, most_waiting_bytes=1500)
    async with aclosing(events):
        feed.push(STARTED)
        assert await anext(events) == STARTED
        feed.push(*[TextDelta("x" * 1000, 1)] * 3)
        await feed.let_go()
        assert await anext(events) == TextDelta("x" * 2000, 2)
        with pytest.raises(SlowReaderError, match=r"not read for 0\.05 s"):
            await anext(events)


async def test_an_answer_aborted_while_nobody_reads_it_still_says_so() -> None:
    aborted = asyncio.Event()
    feed = Feed()

    async def answer() -> AsyncGenerator[AnswerEvent, None]:
        try:
            with cancelled_by(aborted):
                async with aclosing(feed.events()) as events:
                    async for event in events:
                        yield event
        except asyncio.CancelledError:
            if not was_aborted(aborted):
                raise
            yield Finished(FinishReason.ABORTED)
            yield Finished(FinishReason.ABORTED, choice=1)

    watched = observed(answer(), (), is_late=lambda: False)
    async with aclosing(coalesced(watched, patience_s=30, most_waiting_bytes=1500)) as events:
        feed.push(STARTED)
        assert await anext(events) == STARTED
        feed.push(*[TextDelta("x" * 1000, 1)] * 2)
        await feed.left(0)
        aborted.set()
        await feed.let_go()
        said = [event async for event in events]
    assert said == [
        TextDelta("x" * 2000, 2),
        Finished(FinishReason.ABORTED),
        Finished(FinishReason.ABORTED, choice=1),
    ]


async def test_an_answer_whose_time_is_over_while_nobody_reads_it_still_says_so() -> None:
    feed = Feed()

    async def answer() -> AsyncGenerator[AnswerEvent, None]:
        async with asyncio.timeout(0), aclosing(feed.events()) as events:
            async for event in events:
                yield event

    feed.push(*[TextDelta("x" * 1000, 1)] * 3)
    async with aclosing(coalesced(answer(), patience_s=30, most_waiting_bytes=1500)) as events:
        assert await anext(events)
        await feed.let_go()
        with pytest.raises(TimeoutError):
            await anext(events)


async def test_an_error_comes_after_what_was_before_it() -> None:
    feed = Feed()
    feed.push(STARTED, TextDelta("The", 1), ConnectionError("gone"))
    async with aclosing(reading(feed)) as events:
        assert [await anext(events), await anext(events)] == [STARTED, TextDelta("The", 1)]
        with pytest.raises(ConnectionError, match="gone"):
            await anext(events)


@pytest.mark.parametrize("begun", [False, True])
async def test_closing_it_closes_what_it_reads(begun: bool) -> None:
    feed = Feed()
    feed.push(STARTED)
    async with aclosing(reading(feed)) as events:
        await anext(events)
        if begun:
            feed.push(TextDelta("The", 1), ConnectionError("too late to matter"))
            await feed.taken()
    assert feed.closed
