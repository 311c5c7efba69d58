"""An engine is let go of at any point, and refuses before anything is said."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from groundwire_index.errors import UnavailableError
from groundwire_server.engines.engine import EngineRequest, TextPiece
from groundwire_server.grounding.abort import cancelled_by, was_aborted
from groundwire_server.grounding.engine_stream import settled

from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

REQUEST = EngineRequest("r", prompt="Why?")
NEVER_S = 3600.0


async def test_the_engine_has_taken_the_request_when_its_first_event_comes() -> None:
    engine = ScriptedEngine(saying("So"))
    async with aclosing(settled(engine.generate(REQUEST), NEVER_S)) as events:
        assert [event async for event in events] == [None, *engine.script]


async def test_a_refusal_comes_in_place_of_everything() -> None:
    engine = ScriptedEngine([UnavailableError("down")])
    async with aclosing(settled(engine.generate(REQUEST), NEVER_S)) as events:
        with pytest.raises(UnavailableError):
            await anext(events)
    assert engine.running == 0


async def test_an_engine_that_takes_long_counts_as_having_taken_the_request() -> None:
    begin = asyncio.Event()
    engine = ScriptedEngine([begin, TextPiece("So", 1)])
    async with aclosing(settled(engine.generate(REQUEST), 0.0)) as events:
        assert await anext(events) is None
        begin.set()
        assert await anext(events) == TextPiece("So", 1)


@pytest.mark.parametrize("read", [1, 2, 3])
async def test_closing_between_two_events_closes_the_engine(read: int) -> None:
    engine = ScriptedEngine(saying("So", " it", " is"))
    async with aclosing(settled(engine.generate(REQUEST), NEVER_S)) as events:
        for _ in range(read):
            await anext(events)
    assert engine.running == 0


async def test_closing_while_the_first_event_is_awaited_closes_the_engine() -> None:
    engine = ScriptedEngine([asyncio.Event()])
    async with aclosing(settled(engine.generate(REQUEST), 0.0)) as events:
        assert await anext(events) is None
        assert engine.running == 1
    assert engine.running == 0


async def test_a_task_is_cancelled_by_the_event_and_may_go_on() -> None:
    aborted = asyncio.Event()
    asyncio.get_running_loop().call_soon(aborted.set)
    with pytest.raises(asyncio.CancelledError), cancelled_by(aborted):
        await asyncio.Event().wait()
    assert was_aborted(aborted)
    await asyncio.sleep(0)


@pytest.mark.parametrize("turns", [0, 1])
async def test_an_event_that_comes_too_late_cancels_nothing(turns: int) -> None:
    aborted = asyncio.Event()
    with cancelled_by(aborted):
        await asyncio.sleep(0)
        aborted.set()
        for _ in range(turns):
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_client_that_leaves_while_it_is_aborted_has_left() -> None:
    aborted = asyncio.Event()
    outcome: list[bool] = []

    async def answer() -> None:
        try:
            with cancelled_by(aborted):
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append(was_aborted(aborted))
            raise

    task = asyncio.create_task(answer())
    await asyncio.sleep(0)
    aborted.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert outcome == [False]
