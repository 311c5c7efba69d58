"""Whoever leaves gives the engine's slot to the next, wherever the answer was."""

from __future__ import annotations

import asyncio

import pytest
from groundwire.v1.generate_service_pb2 import GenerateRequest
from groundwire_server.engines.engine import TextPiece
from groundwire_server.engines.fair_queue import Limits
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.waiting import Waiting

from tests.e2e.generate.leaving import WAYS, call_to_end, has_begun
from tests.e2e.generate.serving import Serve, Serving, text_of
from tests.patience import PATIENCE_S, until
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

ASK = GenerateRequest(prompt="Why?")


@pytest.fixture
def engine() -> ScriptedEngine:
    """It never ends the answer that it is asked for first."""
    return ScriptedEngine([asyncio.Event()])


@pytest.fixture
def model(engine: ScriptedEngine) -> ServedModel:
    return ServedModel(engine, Limits(1, 10, 1000))


async def is_as_new(serving: Serving, engine: ScriptedEngine, model: ServedModel) -> None:
    await until(lambda: not serving.running)
    assert engine.running == 0
    assert model.waiting == Waiting(0, 0)
    engine.script = saying("So")
    async with asyncio.timeout(PATIENCE_S):
        assert text_of([event async for event in serving.stub.Generate(ASK)]) == "So"


@pytest.mark.parametrize("way", WAYS)
class TestLeaving:
    async def test_in_the_queue(self, serve: Serve, engine, model, way) -> None:
        async with serve(model) as serving:
            first = serving.stub.Generate(ASK)
            await first.read()

            async def is_queued(_: object) -> None:
                await until(lambda: model.waiting.requests == 1)

            call = await call_to_end(serving, way, ASK, is_queued)
            await way(serving, call)
            await until(lambda: model.waiting.requests == 0)
            # The other is where it was.
            assert engine.running == 1
            first.cancel()
            await is_as_new(serving, engine, model)

    async def test_before_the_first_token(self, serve: Serve, engine, model, way) -> None:
        async with serve(model) as serving:

            async def is_asked(_: object) -> None:
                await until(lambda: engine.running == 1)

            call = await call_to_end(serving, way, ASK, is_asked)
            await way(serving, call)
            await is_as_new(serving, engine, model)

    async def test_in_the_middle_of_an_answer(self, serve: Serve, engine, model, way) -> None:
        engine.script.insert(0, TextPiece("So", 1))
        async with serve(model) as serving:
            call = await call_to_end(serving, way, ASK, has_begun)
            await way(serving, call)
            await is_as_new(serving, engine, model)
