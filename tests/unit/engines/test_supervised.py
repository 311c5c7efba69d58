from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import pytest
from groundwire_index.errors import FailedPreconditionError, UnavailableError
from groundwire_server.engines.engine import EngineEvent, EngineRequest, TextPiece
from groundwire_server.engines.supervised import SupervisedEngine
from groundwire_server.supervision import LASTED_S, LONGEST_PAUSE_S, LOOK_S, Around

from tests.faults.server.application import Ticks
from tests.patience import until
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying


class Mortal(ScriptedEngine):
    """Dies when it is told to."""

    def __init__(self, says: str, *, fails_to_start: Exception | None = None) -> None:
        super().__init__(saying(says))
        self.fails_to_start = fails_to_start
        self.dead = False
        self.ended = False

    async def start(self) -> None:
        if self.fails_to_start:
            raise self.fails_to_start

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        await self.check()
        async for event in super().generate(request):
            yield event

    async def check(self) -> None:
        if self.dead:
            raise UnavailableError("the core has died")

    async def close(self) -> None:
        self.ended = True
        if isinstance(self.fails_to_start, AssertionError):
            raise self.fails_to_start


class Supervision:
    """A supervised engine whose pauses end when they are told to."""

    def __init__(self, *mortals: Mortal, starting: Around = nullcontext) -> None:
        self.mortals = mortals
        self.seconds = 0.0
        self.ticks = Ticks()
        made = iter(mortals)
        self.engine = SupervisedEngine(
            lambda: next(made),
            starting=starting,
            sleep=self.ticks.sleep,
            now=lambda: self.seconds,
        )

    async def dies(self, number: int) -> None:
        """One has died and that has been noticed."""
        self.mortals[number].dead = True
        await self.ticks.wake(LOOK_S)
        await until(lambda: self.engine._supervision.is_down)

    async def works(self) -> None:
        await until(lambda: not self.engine._supervision.is_down)


@asynccontextmanager
async def supervised(
    *mortals: Mortal, starting: Around = nullcontext
) -> AsyncIterator[Supervision]:
    supervision = Supervision(*mortals, starting=starting)
    await supervision.engine.start()
    yield supervision
    await supervision.engine.close()


async def said(supervision: Supervision) -> str:
    events = [event async for event in supervision.engine.generate(EngineRequest("r", prompt="?"))]
    return "".join(event.text for event in events if isinstance(event, TextPiece))


async def test_an_engine_that_has_died_is_started_again() -> None:
    async with supervised(Mortal("one"), Mortal("two")) as supervision:
        assert await said(supervision) == "one"
        await supervision.dies(0)
        await supervision.ticks.wake(0.5)
        await supervision.works()
        assert await said(supervision) == "two"
        await supervision.engine.check()
        await until(lambda: supervision.mortals[0].ended)


async def test_what_it_loads_is_looked_at_each_time_that_it_starts() -> None:
    looks: list[str] = []

    @asynccontextmanager
    async def starting() -> AsyncIterator[None]:
        looks.append("before")
        yield
        looks.append("after")

    class Loading(Mortal):
        async def start(self) -> None:
            looks.append("loads")

    async with supervised(Loading("one"), Loading("two"), starting=starting) as supervision:
        assert looks == ["before", "loads", "after"]
        await supervision.dies(0)
        await supervision.ticks.wake(0.5)
        await supervision.works()
        assert looks == ["before", "loads", "after"] * 2


async def test_while_it_is_down_requests_are_told_and_tokens_are_counted() -> None:
    async with supervised(Mortal("one"), Mortal("two")) as supervision:
        await supervision.dies(0)
        for call in (supervision.engine.check(), said(supervision)):
            with pytest.raises(UnavailableError, match=r"again in 0.5 s: the core has died"):
                await call
        assert await supervision.engine.count_tokens("one two three") == 3


async def test_what_fails_to_start_is_tried_again_with_growing_pauses() -> None:
    broken = [
        Mortal("", fails_to_start=FailedPreconditionError(f"no memory {number}"))
        for number in range(9)
    ]
    async with supervised(Mortal("one"), *broken, Mortal("two")) as supervision:
        await supervision.dies(0)
        for pause_s, number in [(0.5, 0), (1, 1), (2, 2), (4, 3), (8, 4), (16, 5), (32, 6)]:
            await supervision.ticks.wake(pause_s)
            await until(lambda one=broken[number]: one.ended)  # type: ignore[misc]
        with pytest.raises(UnavailableError, match=r"again in 60 s: no memory 6"):
            await supervision.engine.check()
        for _ in range(3):
            await supervision.ticks.wake(LONGEST_PAUSE_S)
        await supervision.works()
        assert await said(supervision) == "two"


async def test_what_fails_to_start_in_a_way_nobody_expects_is_tried_again_too() -> None:
    broken = Mortal("", fails_to_start=AssertionError("no worker answered"))
    async with supervised(Mortal("one"), broken, Mortal("two")) as supervision:
        await supervision.dies(0)
        await supervision.ticks.wake(0.5)
        await supervision.ticks.wake(1)
        await supervision.works()
        assert await said(supervision) == "two"
        assert broken.ended


async def test_what_is_said_of_an_engine_that_is_down_holds_no_request() -> None:
    async with supervised(Mortal("one"), Mortal("two")) as supervision:
        await supervision.dies(0)
        errors = []
        for _ in range(2):
            with pytest.raises(UnavailableError) as caught:
                await supervision.engine.check()
            errors.append(caught.value)
        assert errors[0] is not errors[1]


@pytest.mark.parametrize(("lasted_s", "pause_s"), [(LASTED_S - 1, 1.0), (LASTED_S, 0.5)])
async def test_what_dies_soon_again_waits_longer(lasted_s: float, pause_s: float) -> None:
    async with supervised(Mortal("one"), Mortal("two"), Mortal("three")) as supervision:
        await supervision.dies(0)
        await supervision.ticks.wake(0.5)
        await supervision.works()
        supervision.seconds += lasted_s
        await supervision.dies(1)
        await supervision.ticks.wake(pause_s)
        await supervision.works()
        assert await said(supervision) == "three"


async def test_an_engine_that_cannot_start_the_first_time_says_so() -> None:
    supervision = Supervision(Mortal("", fails_to_start=FailedPreconditionError("no such model")))
    with pytest.raises(FailedPreconditionError, match="no such model"):
        await supervision.engine.start()
    await supervision.engine.close()
    assert supervision.mortals[0].ended


async def test_closing_while_it_starts_again_leaves_nothing() -> None:
    class Slow(Mortal):
        async def start(self) -> None:
            starting.set()
            await asyncio.Event().wait()

    starting = asyncio.Event()
    async with supervised(Mortal("one"), Slow("two")) as supervision:
        await supervision.dies(0)
        await supervision.ticks.wake(0.5)
        await starting.wait()
    assert all(mortal.ended for mortal in supervision.mortals)
