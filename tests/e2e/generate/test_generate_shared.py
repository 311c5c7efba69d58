"""Equal requests that run at the same time have one answer together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import GenerateRequest, GenerateResponse
from groundwire.v1.generation_pb2 import (
    CACHE_OUTCOME_EXACT,
    CACHE_OUTCOME_SHARED,
    CACHE_OUTCOME_UNSPECIFIED,
    FINISH_REASON_ABORTED,
)
from groundwire_index.errors import ResourceExhaustedError, UnavailableError
from groundwire_server.engines.engine import EngineEvent, EngineRequest, TextPiece
from groundwire_server.engines.models import Models, RouteSpec
from groundwire_server.engines.served_model import ServedModel

from tests.e2e.generate.caching import ASK, Cached, ask, changed, outcome
from tests.e2e.generate.serving import ALICE, BOB, Serving, rest_of, text_of
from tests.patience import in_time, longer_each_time, until
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying


class Held(ScriptedEngine):
    """Says one word, and the rest when it may."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        super().__init__([TextPiece("So", 1), self.release, *saying(" be", " it.")])


async def begun(serving: Serving, request: GenerateRequest = ASK) -> Any:
    """A call that has its first word."""
    call = serving.stub.Generate(request, metadata=ALICE)
    await call.read()
    assert (await call.read()).text_delta.text == "So"
    return call


async def test_a_hundred_equal_requests_make_one_generation(cached: Cached) -> None:
    engine = Held()
    async with cached.serve(engine) as serving:
        asked = [asyncio.create_task(ask(serving)) for _ in range(100)]
        await until(lambda: len(serving.running) == 100)
        engine.release.set()
        answers: Sequence[list[GenerateResponse]] = await asyncio.gather(*asked)

    assert len(engine.requests) == 1
    assert {text_of(events) for events in answers} == {"So be it."}
    outcomes = sorted(map(outcome, answers))
    assert outcomes[0] == CACHE_OUTCOME_UNSPECIFIED
    # Who comes when it is done finds it.
    assert set(outcomes[1:]) <= {CACHE_OUTCOME_SHARED, CACHE_OUTCOME_EXACT}


async def test_tenants_have_no_answer_together(cached: Cached) -> None:
    engine = Held()
    async with cached.serve(engine) as serving:
        asked = [asyncio.create_task(ask(serving, tenant=tenant)) for tenant in (ALICE, BOB)]
        await until(lambda: len(engine.requests) == 2)
        engine.release.set()
        for answer in await asyncio.gather(*asked):
            assert outcome(answer) == CACHE_OUTCOME_UNSPECIFIED


async def test_who_asks_for_a_model_has_no_answer_of_what_a_route_falls_back_on(
    cached: Cached,
) -> None:
    release = asyncio.Event()

    class Failing(ScriptedEngine):
        async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
            self.requests.append(request)
            await release.wait()
            raise UnavailableError("down")
            yield

    first = Failing([], model="a")
    second = ScriptedEngine(saying("So"), model="b")
    route = RouteSpec("chat", {"a": 1}, ("b",))
    models = Models([ServedModel(first), ServedModel(second)], routes=[route], default="chat")
    async with cached.serve(models) as serving:
        by_route = asyncio.create_task(ask(serving, changed(ASK, model="chat")))
        by_name = asyncio.create_task(ask(serving, changed(ASK, model="a")))
        await until(lambda: len(first.requests) == 2)
        release.set()
        assert text_of(await by_route) == "So"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await by_name
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_who_comes_later_has_what_was_said_before_and_streams_along(
    cached: Cached,
) -> None:
    engine = Held()
    async with cached.serve(engine) as serving:
        first = await begun(serving)
        second = await begun(serving)
        engine.release.set()
        for call in (first, second):
            assert "So" + text_of(await rest_of(call)) == "So be it."
    assert len(engine.requests) == 1


async def test_the_answer_goes_on_without_the_one_that_asked_first(cached: Cached) -> None:
    engine = Held()
    async with cached.serve(engine) as serving:
        first = await begun(serving)
        second = await begun(serving)
        first.cancel()
        await until(lambda: len(serving.running) == 1)
        assert engine.running == 1
        engine.release.set()
        assert text_of(await rest_of(second)) == " be it."
        assert outcome(await ask(serving)) == CACHE_OUTCOME_EXACT
    assert len(engine.requests) == 1


async def test_the_model_is_let_go_of_when_the_last_one_has_gone(cached: Cached) -> None:
    engine = Held()
    async with cached.serve(engine) as serving:
        calls = [await begun(serving), await begun(serving)]
        for call in calls:
            call.cancel()
        await in_time(engine.closed.wait())
        assert engine.running == 0
        engine.release.set()
        # Half an answer is not kept.
        assert outcome(await ask(serving)) == CACHE_OUTCOME_UNSPECIFIED
    assert len(engine.requests) == 2


async def test_one_that_is_aborted_ends_alone(cached: Cached) -> None:
    engine = Held()
    async with cached.serve(engine) as serving:
        first = await begun(serving, changed(ASK, request_id="first"))
        second = await begun(serving)
        serving.running.abort("alice", "first")
        (end,) = await rest_of(first)
        assert end.finished.finish_reason == FINISH_REASON_ABORTED
        assert end.finished.usage.completion_tokens == 1
        engine.release.set()
        assert text_of(await rest_of(second)) == " be it."


async def test_one_that_has_no_time_left_ends_alone(cached: Cached) -> None:
    engine = Held()
    async with cached.serve(engine) as serving:
        for deadline_s in longer_each_time(0.5):
            first = serving.stub.Generate(ASK, metadata=ALICE, timeout=deadline_s)
            second = await begun(serving)
            joined = len(serving.running) == 2
            assert await first.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if joined:
                break
            second.cancel()
            await until(lambda: not serving.running)
        engine.release.set()
        assert text_of(await rest_of(second)) == " be it."


async def test_what_goes_wrong_is_told_to_all_and_tried_again_by_the_next(cached: Cached) -> None:
    release = asyncio.Event()
    engine = ScriptedEngine([release, ResourceExhaustedError("no more room", retry_after_s=1)])
    async with cached.serve(engine) as serving:
        asked = [asyncio.create_task(ask(serving)) for _ in range(3)]
        await until(lambda: len(serving.running) == 3)
        release.set()
        failed = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(error, grpc.aio.AioRpcError) for error in failed)
        engine.script = saying("Now.")
        assert text_of(await ask(serving)) == "Now."
