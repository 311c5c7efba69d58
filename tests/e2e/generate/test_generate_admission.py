"""A model with too much to do refuses before it answers, and lets the tenants take turns."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire.v1.generation_pb2 import Grounding
from groundwire_server.engines.engine import TextPiece
from groundwire_server.engines.fair_queue import Limits
from groundwire_server.engines.served_model import ServedModel

from tests.e2e.generate.serving import ALICE, BOB, Serve, Serving, details_of, kinds, text_of
from tests.patience import during, until
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

ASK = GenerateRequest(prompt="Why?")


class Busy:
    """An engine that works on one answer, which goes on until it is let go of."""

    def __init__(self, *, queued: int = 10) -> None:
        self.hold = asyncio.Event()
        self.inner = ScriptedEngine([TextPiece("So", 1), self.hold, *saying(" be it")])
        self.engine = ServedModel(self.inner, Limits(1, queued, 1000))

    async def begin(self, serving: Serving) -> asyncio.Task[str]:
        """Have the first answer under way."""
        first = asyncio.create_task(answer(serving))
        await during(first, self.inner.entered.wait())
        return first

    async def queue(self, serving: Serving, tenant: object = ALICE) -> asyncio.Task[str]:
        """Have one more wait."""
        before = self.engine.waiting.requests
        task = asyncio.create_task(answer(serving, tenant))
        await during(task, until(lambda: self.engine.waiting.requests > before))
        return task


async def answer(serving: Serving, tenant: object = ALICE) -> str:
    return text_of([event async for event in serving.stub.Generate(ASK, metadata=tenant)])


async def test_what_must_wait_is_answered_in_its_turn(serve: Serve) -> None:
    busy = Busy()
    async with serve(busy.engine) as serving:
        first = await busy.begin(serving)
        second = await busy.queue(serving)
        assert not second.done()
        busy.hold.set()
        assert [await first, await second] == ["So be it", "So be it"]


async def test_the_seconds_in_the_queue_are_told(serve: Serve) -> None:
    busy = Busy()
    async with serve(busy.engine) as serving:
        first = await busy.begin(serving)
        call = serving.stub.Complete(CompleteRequest(request=ASK))
        await during(call, until(lambda: busy.engine.waiting.requests == 1))
        await asyncio.sleep(0.05)
        busy.hold.set()
        queued = (await call).finished.timings.queue
        assert queued.ToTimedelta().total_seconds() >= 0.05
        await first


async def test_a_full_queue_refuses_before_anything_is_looked_up(serve: Serve) -> None:
    busy = Busy(queued=0)
    grounded = GenerateRequest(prompt="Why?", grounding=Grounding(collection="none"))
    async with serve(busy.engine) as serving:
        first = await busy.begin(serving)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await serving.stub.Complete(CompleteRequest(request=grounded), metadata=ALICE)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        busy.hold.set()
        await first


async def test_a_full_queue_refuses_before_headers_and_says_when_to_come_back(
    serve: Serve,
) -> None:
    busy = Busy(queued=1)
    async with serve(busy.engine) as serving:
        first = await busy.begin(serving)
        second = await busy.queue(serving)
        call = serving.stub.Generate(ASK, metadata=ALICE)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not await call.initial_metadata()
        details = details_of(caught.value)
        info, retry = details["ErrorInfo"], details["RetryInfo"]
        assert isinstance(info, ErrorInfo)
        assert info.reason == "QUEUE_FULL"
        assert isinstance(retry, RetryInfo)
        assert retry.retry_delay.ToTimedelta().total_seconds() > 0
        assert int(dict(caught.value.trailing_metadata() or ())["grpc-retry-pushback-ms"]) > 0
        # Whoever is refused was never looked at.
        assert len(busy.inner.requests) == 2
        busy.hold.set()
        assert [await first, await second] == ["So be it", "So be it"]


async def test_a_flood_of_one_tenant_does_not_hold_up_another(serve: Serve) -> None:
    busy = Busy()
    async with serve(busy.engine) as serving:
        first = await busy.begin(serving)
        flood = [await busy.queue(serving, ALICE) for _ in range(5)]
        done: list[str] = []
        (bob := await busy.queue(serving, BOB)).add_done_callback(lambda _: done.append("bob"))
        flood[-1].add_done_callback(lambda _: done.append("the last of the flood"))
        busy.hold.set()
        await asyncio.gather(first, bob, *flood)
        assert done == ["bob", "the last of the flood"]


async def test_who_leaves_the_queue_leaves_nothing_behind(serve: Serve) -> None:
    busy = Busy()
    async with serve(busy.engine) as serving:
        first = await busy.begin(serving)
        waiting = [await busy.queue(serving) for _ in range(3)]
        for task in waiting:
            task.cancel()
        await until(lambda: not busy.engine.waiting.requests)
        busy.hold.set()
        assert await first == "So be it"
        assert await answer(serving) == "So be it"
        assert busy.inner.running == 0


async def test_the_first_event_comes_when_the_turn_does(serve: Serve) -> None:
    busy = Busy()
    async with serve(busy.engine) as serving:
        first = await busy.begin(serving)
        call = serving.stub.Generate(ASK, metadata=ALICE)
        reading = asyncio.ensure_future(call.read())
        await during(reading, until(lambda: busy.engine.waiting.requests == 1))
        assert not reading.done()
        busy.hold.set()
        assert kinds([await reading]) == ["started"]
        await first
