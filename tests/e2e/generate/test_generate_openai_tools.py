"""Tools and reasoning of a model in vLLM's own server, spoken to over the OpenAI API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import grpc
import pytest
from groundwire.v1.generation_pb2 import FINISH_REASON_TOOL_CALLS
from groundwire_server.blocking import run_blocking
from groundwire_server.engines.openai import OpenAiEngine

from tests.e2e.generate.serving import Serve, text_of
from tests.e2e.generate.test_generate_tools import (
    asking,
    calls_of,
    complete,
    count,
    reasoning_of,
    refusal,
    stream,
)
from tests.e2e.generate.vllm_servers import FEWER_PROCESSES, HTTP, vllm_server
from tests.parrot import parrot

pytestmark = pytest.mark.vllm

FLAGS = (
    *("--served-model-name", "parrot", "--enforce-eager", "--enable-auto-tool-choice"),
    *("--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"),
)


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[OpenAiEngine]:
    server = vllm_server(HTTP, *FLAGS, model=parrot(), env=FEWER_PROCESSES)
    port = await run_blocking(server.__enter__)
    engine = OpenAiEngine(f"http://127.0.0.1:{port}/v1", "parrot")
    await engine.start()
    yield engine
    await engine.close()
    await run_blocking(server.__exit__, None, None, None)


async def test_calls_and_reasoning_arrive_as_they_do_from_vllm_in_the_server(
    serve: Serve, engine: OpenAiEngine
) -> None:
    async with serve(engine) as serving:
        events = await stream(serving, asking("<|ponder|>"))
        answer = await complete(serving, asking("<|ponder|>"))
    assert (
        answer.reasoning == reasoning_of(events) == "Someone asks for Jena: I need the sky there."
    )
    assert answer.text == text_of(events) == "One moment. "
    assert calls_of(answer) == [("weather", {"city": "Apolda"})]
    assert answer.tool_calls[0].id
    assert answer.finished.finish_reason == FINISH_REASON_TOOL_CALLS
    assert answer.finished.usage.completion_tokens > 20


async def test_what_is_counted_is_what_the_remote_reads_with_tools_and_arguments(
    serve: Serve, engine: OpenAiEngine
) -> None:
    plain = asking("<|greet|>", tools=[])
    calm = asking("<|greet|>")
    calm.chat.template_arguments.update({"mood": "calm"})
    async with serve(engine) as serving:
        for asked in (plain, calm):
            counted = await count(serving, asked)
            assert counted == (await complete(serving, asked)).finished.usage.prompt_tokens
        assert await count(serving, calm) > await count(serving, asking("<|greet|>"))


async def test_a_template_that_fails_there_is_an_argument_error(
    serve: Serve, engine: OpenAiEngine
) -> None:
    async with serve(engine) as serving:
        error = await refusal(serving, asking("refuse"))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "This template takes no such message" in str(error.details())


async def test_a_tool_that_is_named_is_called(serve: Serve, engine: OpenAiEngine) -> None:
    async with serve(engine) as serving:
        asked = asking("<|ponder|>", tool_choice={"name": "weather"})
        answer = await complete(serving, asked)
    assert [call.name for call in answer.tool_calls] == ["weather"]
    assert isinstance(json.loads(answer.tool_calls[0].arguments), dict)
    assert answer.finished.finish_reason == FINISH_REASON_TOOL_CALLS
