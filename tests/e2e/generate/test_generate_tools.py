"""Calls of tools and reasoning, as vLLM's parsers find them in what a model says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from groundwire.v1.generate_service_pb2 import (
    CompleteRequest,
    CompleteResponse,
    CountTokensRequest,
    GenerateRequest,
    GenerateResponse,
)
from groundwire.v1.generation_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    STORE_OUTCOME_STORED,
)
from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.tools import ToolCall
from groundwire_server.engines.vllm import VllmEngine
from groundwire_server.memory.redis_sessions import RedisSessions

from tests.e2e.generate.serving import ALICE, Serve, Serving, details_of, text_of
from tests.parrot import CONTEXT_LENGTH, SCRIPTS, parrot

pytestmark = pytest.mark.vllm

ARGS = {"enforce_eager": True, "dtype": "float32"}
# What the parrot's template says of itself if it is told.
MOOD = "as calm as the sky above the dome"
TOOLS = [
    {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
    {"name": "dome"},
]


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[VllmEngine]:
    engine = VllmEngine(str(parrot()), name="parrot", args=ARGS, tool_parser="hermes")
    await engine.start()
    yield engine
    await engine.close()


@pytest.fixture(scope="module")
async def thinker() -> AsyncIterator[VllmEngine]:
    engine = VllmEngine(
        str(parrot()),
        name="thinker",
        args=ARGS,
        tool_parser="hermes",
        reasoning_parser="qwen3",
        template_arguments={"mood": MOOD},
    )
    await engine.start()
    yield engine
    await engine.close()


def asking(*said: str | dict[str, Any], tools: Any = TOOLS, **fields: Any) -> GenerateRequest:
    messages = [
        {"role": "ROLE_USER", "content": one} if isinstance(one, str) else one for one in said
    ]
    sampling = {"max_tokens": 300, "temperature": 1.0, "seed": 1, **fields.pop("sampling", {})}
    return ParseDict(
        {"chat": {"messages": messages}, "tools": tools, "sampling": sampling, **fields},
        GenerateRequest(),
    )


async def stream(serving: Serving, asked: GenerateRequest) -> list[GenerateResponse]:
    return [event async for event in serving.stub.Generate(asked, metadata=ALICE)]


async def complete(serving: Serving, asked: GenerateRequest) -> CompleteResponse:
    return await serving.stub.Complete(CompleteRequest(request=asked), metadata=ALICE)


async def count(serving: Serving, asked: GenerateRequest) -> int:
    request = CountTokensRequest(chat=asked.chat, tools=asked.tools)
    return (await serving.stub.CountTokens(request, metadata=ALICE)).token_count


async def refusal(serving: Serving, asked: GenerateRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await serving.stub.Generate(asked, metadata=ALICE).read()
    return caught.value


def calls_of(answer: Any) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in answer.tool_calls]


def reasoning_of(events: Iterable[GenerateResponse]) -> str:
    return "".join(event.reasoning_delta.text for event in events)


CALLS: dict[str, tuple[str, list[tuple[str, Any]]]] = {
    "<|call|>": ("Let me look.\n", [("weather", {"city": "Jena", "days": 2})]),
    "<|calls|>": ("", [("weather", {"city": '望遠鏡 "S"'}), ("dome", {})]),
    "<|greet|>": (str(SCRIPTS["<|greet|>"]), []),
    "<|lookalike|>": (str(SCRIPTS["<|lookalike|>"]), []),
}


@pytest.mark.parametrize("cue", CALLS)
async def test_calls_are_taken_out_of_the_text_streamed_and_at_once(
    serve: Serve, engine: VllmEngine, cue: str
) -> None:
    text, calls = CALLS[cue]
    async with serve(engine) as serving:
        events = await stream(serving, asking(cue))
        answer = await complete(serving, asking(cue))
    assert (answer.text, calls_of(answer)) == (text, calls)
    assert text_of(events) == text
    reason = FINISH_REASON_TOOL_CALLS if calls else FINISH_REASON_STOP
    assert answer.finished.finish_reason == events[-1].finished.finish_reason == reason
    assert len({call.id for call in answer.tool_calls}) == len(calls)


async def test_a_call_streams_as_it_is_made_with_its_id_and_name_first(
    serve: Serve, engine: VllmEngine
) -> None:
    async with serve(engine) as serving:
        events = await stream(serving, asking("<|calls|>"))
    deltas = [event.tool_call_delta for event in events if event.HasField("tool_call_delta")]
    numbers = [delta.index for delta in deltas]
    assert numbers == sorted(numbers)
    for index, (name, arguments) in enumerate(CALLS["<|calls|>"][1]):
        first, *others = [delta for delta in deltas if delta.index == index]
        assert (first.name, bool(first.id)) == (name, True)
        assert all((delta.id, delta.name) == ("", "") for delta in others)
        assert json.loads("".join(delta.arguments for delta in [first, *others])) == arguments
    # Before the end of the call is there.
    assert len(deltas) > 4


async def test_each_of_several_answers_has_its_own_calls(serve: Serve, engine: VllmEngine) -> None:
    asked = asking("<|either|>", sampling={"n": 12})
    async with serve(engine) as serving:
        answer = await complete(serving, asked)
        events = await stream(serving, asked)
    called = [("dome", {"open": True})]
    said = SCRIPTS["<|either|>"][1]
    choices = [answer, *answer.other_choices]
    reasons = [answer.finished.finish_reason, *(one.finish_reason for one in answer.other_choices)]
    found = [(one.text, calls_of(one)) for one in choices]
    assert set(map(str, found)) == {str(("", called)), str((said, []))}
    for (_, calls), reason in zip(found, reasons, strict=True):
        assert reason == (FINISH_REASON_TOOL_CALLS if calls else FINISH_REASON_STOP)
    assert len({call.id for one in choices for call in one.tool_calls}) == sum(
        len(one.tool_calls) for one in choices
    )
    streamed = {event.choice for event in events if event.tool_call_delta.name}
    assert streamed == {number for number, (_, calls) in enumerate(found) if calls}


async def test_log_probabilities_are_those_of_the_text(serve: Serve, engine: VllmEngine) -> None:
    async with serve(engine) as serving:
        events = await stream(serving, asking("<|call|>", sampling={"logprobs": 1}))
        greeted = await complete(serving, asking("<|greet|>", sampling={"logprobs": 0}))
    deltas = [event.text_delta for event in events if event.HasField("text_delta")]
    assert all(len(delta.logprobs) == delta.token_count for delta in deltas)
    assert "".join(one.token for delta in deltas for one in delta.logprobs) == "Let me look.\n"
    # Nothing of the markup that is held back until it is known to be a call.
    assert not events[-2].HasField("text_delta")
    assert len(greeted.logprobs) == greeted.finished.usage.completion_tokens


@pytest.mark.parametrize(
    ("stops", "text"),
    [
        (["ood e"], "G"),
        (["welcome to the dome?", "come to the dome."], "Good evening, and wel"),
        (["never", "dome."], "Good evening, and welcome to the "),
    ],
)
async def test_a_stop_string_is_found_over_the_ends_of_tokens(
    serve: Serve, engine: VllmEngine, stops: list[str], text: str
) -> None:
    """Of which nothing has been sent before it is whole."""
    asked = asking("<|greet|>", tools=[], sampling={"stop": stops, "n": 2, "logprobs": 0})
    async with serve(engine) as serving:
        events = await stream(serving, asked)
        answer = await complete(serving, asked)
    for choice in range(2):
        assert text_of([event for event in events if event.choice == choice]) == text
    assert (answer.text, answer.other_choices[0].text) == (text, text)
    assert answer.finished.finish_reason == FINISH_REASON_STOP
    # Also those of the stop string, which the model made.
    assert sum(len(one.logprobs) for one in (answer, *answer.other_choices)) == (
        answer.finished.usage.completion_tokens
    )


async def test_a_chat_goes_on_with_the_results_of_calls(serve: Serve, engine: VllmEngine) -> None:
    call = {"id": "c-1", "name": "weather", "arguments": '{"city": "Jena"}'}
    made = {"role": "ROLE_ASSISTANT", "tool_calls": [call]}
    result = {"role": "ROLE_TOOL", "name": "c-1", "content": "<|greet|>"}
    async with serve(engine) as serving:
        answer = await complete(serving, asking("<|call|>", made, result))
        counted = await serving.stub.CountTokens(
            CountTokensRequest(chat=asking("<|call|>", made, result).chat)
        )
        unmade = await serving.stub.CountTokens(CountTokensRequest(chat=asking("<|call|>").chat))
    assert answer.text == SCRIPTS["<|greet|>"]
    assert counted.token_count > unmade.token_count + 10


async def test_the_model_reads_the_tools_unless_it_is_to_call_none(
    serve: Serve, engine: VllmEngine
) -> None:
    none = {"tool_choice": {"mode": "TOOL_CHOICE_MODE_NONE"}}
    async with serve(engine) as serving:
        shown, hidden, without = [
            await complete(serving, asked)
            for asked in (
                asking("<|call|>"),
                asking("<|call|>", **none),
                asking("<|call|>", tools=[]),
            )
        ]
    assert shown.finished.usage.prompt_tokens > hidden.finished.usage.prompt_tokens + 50
    assert hidden.finished.usage.prompt_tokens == without.finished.usage.prompt_tokens
    for answer in (hidden, without):
        assert answer.text == SCRIPTS["<|call|>"]
        assert not answer.tool_calls
        assert answer.finished.finish_reason == FINISH_REASON_STOP


async def test_a_call_that_is_cut_off_has_what_there_is_of_it(
    serve: Serve, engine: VllmEngine
) -> None:
    async with serve(engine) as serving:
        whole = await complete(serving, asking("<|call|>"))
        tokens = whole.finished.usage.completion_tokens
        cut = await complete(serving, asking("<|call|>", sampling={"max_tokens": tokens - 12}))
        stopped = await complete(serving, asking("<|call|>", sampling={"stop": ["Jena"]}))
    assert cut.finished.finish_reason == FINISH_REASON_LENGTH
    for answer in (cut, stopped):
        (call,), (entire,) = answer.tool_calls, whole.tool_calls
        assert call.name == "weather"
        assert call.arguments
        assert call.arguments != entire.arguments
        assert entire.arguments.startswith(call.arguments)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"mode": "TOOL_CHOICE_MODE_REQUIRED"}, {"weather", "dome"}),
        ({"name": "weather"}, {"weather"}),
    ],
)
async def test_a_model_that_would_greet_calls_what_it_must(
    serve: Serve, engine: VllmEngine, choice: dict[str, str], names: set[str]
) -> None:
    async with serve(engine) as serving:
        answer = await complete(serving, asking("<|greet|>", tool_choice=choice))
    assert answer.text == ""
    assert {call.name for call in answer.tool_calls} <= names
    assert answer.tool_calls


async def test_a_prompt_with_tools_that_fits_exactly_has_one_token_and_one_more_is_out_of_range(
    serve: Serve, engine: VllmEngine
) -> None:
    def filled(words: int) -> GenerateRequest:
        system = {"role": "ROLE_SYSTEM", "content": " ".join(["a"] * words)}
        return asking(system, "<|greet|>")

    async with serve(engine) as serving:
        with_one = (await complete(serving, filled(1))).finished.usage.prompt_tokens
        most = CONTEXT_LENGTH - with_one
        full = await complete(serving, filled(most))
        error = await refusal(serving, filled(most + 1))
    assert full.finished.usage.prompt_tokens == CONTEXT_LENGTH - 1
    assert full.finished.usage.completion_tokens == 1
    assert full.finished.finish_reason == FINISH_REASON_LENGTH
    assert error.code() == grpc.StatusCode.OUT_OF_RANGE
    assert f"has {CONTEXT_LENGTH:,} tokens; {CONTEXT_LENGTH - 1:,} fit" in str(error.details())


async def test_a_chat_template_that_fails_is_an_argument_error(
    serve: Serve, engine: VllmEngine
) -> None:
    async with serve(engine) as serving:
        error = await refusal(serving, asking("refuse"))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = details_of(error)["BadRequest"].field_violations
    assert violation.field == "chat"
    assert "This template takes no such message." in violation.description


@pytest.mark.parametrize(
    "arguments", [{"mood": 5, "no_such_name": 1}, {"mood": {"a": [1]}}, {"mood": None}]
)
async def test_a_template_may_be_given_any_json(
    serve: Serve, engine: VllmEngine, arguments: dict[str, Any]
) -> None:
    asked = asking("<|greet|>", tools=[])
    asked.chat.template_arguments.update(arguments)
    async with serve(engine) as serving:
        assert (await complete(serving, asked)).text == SCRIPTS["<|greet|>"]


async def test_what_is_counted_is_what_the_model_reads_with_tools_and_arguments(
    serve: Serve, engine: VllmEngine
) -> None:
    told = {"mood": MOOD}
    async with serve(engine) as serving:
        found = []
        for tools in (TOOLS, []):
            for arguments in (told, {}):
                asked = asking("<|greet|>", tools=tools)
                asked.chat.template_arguments.update(arguments)
                counted = await count(serving, asked)
                answer = await complete(serving, asked)
                assert counted == answer.finished.usage.prompt_tokens
                found.append(counted)
    assert len(set(found)) == len(found)


async def test_a_template_that_fails_fails_a_count_too(serve: Serve, engine: VllmEngine) -> None:
    async with serve(engine) as serving:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await count(serving, asking("refuse"))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "This template takes no such message." in str(caught.value.details())


async def test_a_model_gives_its_template_what_the_settings_say_and_the_request_goes_first(
    serve: Serve, engine: VllmEngine, thinker: VllmEngine
) -> None:
    plain, told = asking("<|greet|>"), asking("<|greet|>")
    told.chat.template_arguments.update({"mood": MOOD})
    async with serve(engine) as serving:
        without, said = await count(serving, plain), await count(serving, told)
    told.chat.template_arguments.update({"mood": f"{MOOD}, and calmer"})
    async with serve(thinker) as serving:
        by_default, otherwise = await count(serving, plain), await count(serving, told)
        answer = await complete(serving, plain)
    assert without < said == by_default < otherwise
    assert answer.finished.usage.prompt_tokens == by_default


async def test_a_request_may_switch_reasoning_off(serve: Serve, thinker: VllmEngine) -> None:
    """The parser is told of it as the template is."""
    asked = asking("<|greet|>", tools=[])
    async with serve(thinker) as serving:
        thought = await complete(serving, asked)
        asked.chat.template_arguments.update({"enable_thinking": False})
        answer = await complete(serving, asked)
    assert (thought.reasoning, thought.text) == (SCRIPTS["<|greet|>"], "")
    assert (answer.reasoning, answer.text) == ("", SCRIPTS["<|greet|>"])


async def test_reasoning_is_told_apart_from_text_and_calls(
    serve: Serve, thinker: VllmEngine
) -> None:
    async with serve(thinker) as serving:
        events = await stream(serving, asking("<|ponder|>"))
        answer = await complete(serving, asking("<|ponder|>"))
        plain = await complete(serving, asking("<|ponder|>", tools=[]))
    assert answer.reasoning == "Someone asks for Jena: I need the sky there."
    assert answer.text == "One moment. "
    assert calls_of(answer) == [("weather", {"city": "Apolda"})]
    assert (reasoning_of(events), text_of(events)) == (answer.reasoning, answer.text)
    assert plain.reasoning == answer.reasoning
    assert plain.text.startswith("One moment. ")
    assert not plain.tool_calls


async def test_reasoning_has_no_log_probabilities(serve: Serve, thinker: VllmEngine) -> None:
    async with serve(thinker) as serving:
        answer = await complete(serving, asking("<|ponder|>", sampling={"logprobs": 0}))
    tokens = "".join(one.token for one in answer.logprobs)
    # The mark of its end has no text: it goes with the first token that has some.
    assert tokens.removeprefix("</think>") == "One moment. "


async def test_a_call_that_is_forced_comes_after_the_reasoning(
    serve: Serve, thinker: VllmEngine
) -> None:
    async with serve(thinker) as serving:
        answer = await complete(serving, asking("<|ponder|>", tool_choice={"name": "weather"}))
    assert answer.reasoning == "Someone asks for Jena: I need the sky there."
    assert [call.name for call in answer.tool_calls] == ["weather"]
    assert (answer.text, answer.finished.finish_reason) == ("", FINISH_REASON_TOOL_CALLS)


async def test_a_form_is_that_of_the_answer_not_of_the_reasoning(
    serve: Serve, thinker: VllmEngine
) -> None:
    constraint = {"choice": {"options": ["yes", "no"]}}
    async with serve(thinker) as serving:
        answer = await complete(serving, asking("<|ponder|>", tools=[], constraint=constraint))
        prompt = ParseDict({"prompt": "<|ponder|>", "constraint": constraint}, GenerateRequest())
        continued = await complete(serving, prompt)
    assert answer.reasoning == "Someone asks for Jena: I need the sky there."
    assert answer.text in ("yes", "no")
    assert (continued.reasoning, continued.text in ("yes", "no")) == ("", True)


async def test_a_session_keeps_the_answer_without_the_reasoning(
    serve: Serve, thinker: VllmEngine, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    async with serve(thinker) as serving:
        answer = await complete(serving, asking("<|ponder|>", tools=[], session_id=session_id))
    assert answer.finished.stored == STORE_OUTCOME_STORED
    turns = (await sessions.turns("alice", session_id, after=0, limit=10)).turns
    assert turns[-1].content == answer.text
    assert "Someone asks" not in turns[-1].content


async def test_nobody_waits_while_calls_with_long_arguments_are_made_a_prompt(
    engine: VllmEngine,
) -> None:
    call = ToolCall("c", "weather", json.dumps({"city": "Jena " * 1000}))
    chat = (Message(Role.USER, "Where?"), Message(Role.ASSISTANT, "", tool_calls=(call,)))
    counting = asyncio.create_task(engine.count_tokens(chat))
    await asyncio.sleep(0)
    assert not counting.done()
    assert await counting > 1000
