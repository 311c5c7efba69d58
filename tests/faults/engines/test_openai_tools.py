"""Tools and reasoning of a server of the OpenAI API, as servers of several makes stream them."""

from __future__ import annotations

from typing import Any

import pytest
from groundwire_index.errors import UnavailableError
from groundwire_server.engines.engine import (
    ChoiceEnd,
    EngineEvent,
    EngineRequest,
    FinishReason,
    GenerationEnd,
    Message,
    ReasoningPiece,
    Role,
    Sampling,
    TextPiece,
    ToolCallPiece,
)
from groundwire_server.engines.openai import OpenAiEngine
from groundwire_server.engines.tools import Tool, ToolCall, ToolUse

from tests.faults.engines.asking import CHAT, events_of, failure, remote, request
from tests.faults.engines.scripted_http import DONE, HELLO, event, said, streaming

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = Tool("weather", "Of a city.", SCHEMA)
USE = ToolUse((WEATHER, Tool("dome")))


def delta(finish: str | None = None, **told: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": told, "finish_reason": finish}]})


def call(index: int = 0, **told: Any) -> dict[str, Any]:
    function = {key: told.pop(key) for key in ("name", "arguments") if key in told}
    return {"index": index, "function": function, **told}


async def told_by(*chunks: bytes) -> list[EngineEvent]:
    """What follows `Begun`."""
    async with remote(streaming(*chunks, DONE)) as (_, engine):
        return (await events_of(engine, request(tools=USE)))[2:]


@pytest.mark.parametrize(
    ("use", "choice"),
    [
        (USE, "auto"),
        (ToolUse(USE.tools, required=True), "required"),
        (ToolUse(USE.tools, name="dome"), {"type": "function", "function": {"name": "dome"}}),
    ],
)
async def test_tools_are_sent_as_the_api_has_them(use: ToolUse, choice: Any) -> None:
    async with remote(HELLO) as (server, engine):
        await events_of(engine, request(tools=use))
    (sent,) = server.requests
    weather, dome = (tool["function"] for tool in sent["tools"])
    assert weather == {"name": "weather", "description": "Of a city.", "parameters": SCHEMA}
    assert dome == {"name": "dome", "parameters": {"type": "object", "properties": {}}}
    assert sent["tool_choice"] == choice


async def test_without_tools_none_are_sent() -> None:
    async with remote(HELLO) as (server, engine):
        await events_of(engine, request())
    assert not {"tools", "tool_choice"} & set(server.requests[0])


async def test_calls_and_their_results_are_sent_on() -> None:
    messages = (
        *CHAT,
        Message(Role.ASSISTANT, "", tool_calls=(ToolCall("c-1", "weather", '{"city": "Jena"}'),)),
        Message(Role.TOOL, "Rain", "c-1"),
    )
    async with remote(HELLO) as (server, engine):
        await events_of(engine, EngineRequest("one", Sampling(), messages=messages))
    assert server.requests[0]["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c-1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Jena"}'},
                }
            ],
        },
        {"role": "tool", "content": "Rain", "tool_call_id": "c-1"},
    ]


async def test_calls_arrive_in_pieces_and_end_the_answer() -> None:
    *events, end = await told_by(
        delta(content="One moment."),
        delta(tool_calls=[call(id="c-1", name="weather", arguments="")]),
        delta(tool_calls=[call(arguments='{"city": ')]),
        delta(tool_calls=[call(arguments='"Jena"}'), call(1, id="c-2", name="dome")]),
        delta(tool_calls=[call(1, arguments="{}")]),
        delta("tool_calls"),
    )
    assert events == [
        TextPiece("One moment.", 1),
        ToolCallPiece(0, "c-1", "weather", "", 1),
        ToolCallPiece(0, "", "", '{"city": ', 1),
        ToolCallPiece(0, "", "", '"Jena"}', 1),
        ToolCallPiece(1, "c-2", "dome", "", 0),
        ToolCallPiece(1, "", "", "{}", 1),
        ChoiceEnd(FinishReason.TOOL_CALLS),
    ]
    assert isinstance(end, GenerationEnd)
    assert end.usage.completion_tokens == 5


async def test_a_whole_call_at_once_that_has_no_id_is_given_one() -> None:
    """As Ollama sends them; of a call by name, others say that the model stopped."""
    made, end, _ = await told_by(
        delta(tool_calls=[call(name="dome", arguments="{}")]), delta("stop")
    )
    assert isinstance(made, ToolCallPiece)
    assert (made.name, made.arguments, bool(made.id)) == ("dome", "{}", True)
    assert end == ChoiceEnd(FinishReason.TOOL_CALLS)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_reasoning_is_apart_from_the_answer(field: str) -> None:
    events = await told_by(
        delta(**{field: "I need "}),
        delta(**{field: "the sky.", "content": None}),
        delta(content="Rain."),
        delta("stop"),
    )
    assert events[:-1] == [
        ReasoningPiece("I need ", 1),
        ReasoningPiece("the sky.", 1),
        TextPiece("Rain.", 1),
        ChoiceEnd(FinishReason.STOP),
    ]


async def test_log_probabilities_are_those_of_the_text() -> None:
    def with_logprob(token: str, finish: str | None = None, **told: Any) -> bytes:
        logprobs = {"content": [{"token": token, "logprob": -0.5, "top_logprobs": []}]}
        choice = {"index": 0, "delta": told, "finish_reason": finish, "logprobs": logprobs}
        return event({"choices": [choice]})

    text, thought, called, end, _ = await told_by(
        with_logprob("So", content="So"),
        with_logprob("Hm", reasoning="Hm"),
        with_logprob("{}", tool_calls=[call(id="c", name="dome", arguments="{}")]),
        with_logprob("</s>", finish="tool_calls"),
    )
    assert isinstance(text, TextPiece)
    assert [one.token for one in text.logprobs] == ["So"]
    assert isinstance(thought, ReasoningPiece)
    assert isinstance(called, ToolCallPiece)
    assert end == ChoiceEnd(FinishReason.TOOL_CALLS)


async def test_a_call_without_a_name_is_not_as_the_api_has_it() -> None:
    async with remote(
        streaming(delta(tool_calls=[call(id="c-1", arguments="{}")]), said("", finish="stop"), DONE)
    ) as (_, engine):
        error = await failure(engine)
    assert isinstance(error, UnavailableError)
    assert error.reason == "REMOTE_PROTOCOL"


async def test_tools_count_as_part_of_the_prompt() -> None:
    large = ToolUse((Tool("weather", "a" * 3000),))
    async with remote(HELLO, HELLO) as (_, engine):
        (plain, *_), (offered, *_) = await accepted(engine, None), await accepted(engine, large)
    assert offered.prompt_tokens - plain.prompt_tokens > 1000


async def accepted(engine: OpenAiEngine, use: ToolUse | None) -> list[Any]:
    return await events_of(engine, request(tools=use))
