"""One answer for all who ask for it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from groundwire_server.caching.flight import Flight, Flights
from groundwire_server.grounding.events import AnswerEvent, ReasoningDelta

from tests.patience import PATIENCE_S

FIRST, SECOND = ReasoningDelta("first"), ReasoningDelta("second")


class Making:
    """Makes one event, and another when it may; says when it begins and ends."""

    def __init__(self) -> None:
        self.release, self.may_end = asyncio.Event(), asyncio.Event()
        self.began = 0
        self.was_kept = False
        self.may_end.set()

    async def fly(self, flight: Flight) -> None:
        self.began += 1
        try:
            flight.add(FIRST)
            await self.release.wait()
            flight.add(SECOND)
            flight.land()
            await asyncio.sleep(0)
            self.was_kept = True
        finally:
            await self.may_end.wait()


async def read(flights: Flights, making: Making) -> list[AnswerEvent]:
    async with flights.joined("name", making.fly) as (flight, _):
        return [event async for event in flight.read()]


@asynccontextmanager
async def joined(flights: Flights, making: Making) -> AsyncIterator[bool]:
    async with flights.joined("name", making.fly) as (_, was_there):
        yield was_there


async def test_each_reader_has_all_of_it_whenever_it_came() -> None:
    flights, making = Flights(), Making()
    async with joined(flights, making) as was_there:
        assert not was_there
        readers = [asyncio.create_task(read(flights, making)) for _ in range(3)]
        await asyncio.sleep(0)
        making.release.set()
        assert await asyncio.gather(*readers) == [[FIRST, SECOND]] * 3
    assert making.began == 1
    assert len(flights) == 0


async def test_who_comes_while_it_is_being_ended_has_another() -> None:
    flights, making = Flights(), Making()
    making.may_end.clear()

    async def leave_at_once() -> None:
        async with joined(flights, making):
            await asyncio.sleep(0)

    leaving = asyncio.create_task(leave_at_once())
    async with asyncio.timeout(PATIENCE_S):
        while len(flights) or not making.began:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0)
    assert not leaving.done()
    making.release.set()
    making.may_end.set()
    assert await read(flights, making) == [FIRST, SECOND]
    await leaving
    assert making.began == 2


async def test_what_is_still_done_after_the_last_event_keeps_nobody_from_it() -> None:
    flights, making = Flights(), Making()
    making.release.set()
    making.may_end.clear()
    first = asyncio.create_task(read(flights, making))
    async with flights.joined("name", making.fly) as (flight, _):
        assert [event async for event in flight.read()] == [FIRST, SECOND]
        making.may_end.set()
    assert await first == [FIRST, SECOND]
    assert making.began == 1


async def test_who_has_the_last_event_leaves_the_answer_to_be_kept() -> None:
    flights, making = Flights(), Making()
    making.release.set()
    assert await read(flights, making) == [FIRST, SECOND]
    assert making.was_kept


async def test_what_goes_wrong_is_told_to_all_and_is_not_met_by_the_next() -> None:
    flights = Flights()
    tries = 0

    async def fail(flight: Flight) -> None:
        nonlocal tries
        tries += 1
        flight.add(FIRST)
        await asyncio.sleep(0)
        raise LookupError("gone")

    async def reading() -> None:
        async with flights.joined("name", fail) as (flight, _):
            async for _ in flight.read():
                pass

    failed = await asyncio.gather(reading(), reading(), return_exceptions=True)
    assert [str(error) for error in failed] == ["gone", "gone"]
    with pytest.raises(LookupError):
        await reading()
    assert tries == 2
