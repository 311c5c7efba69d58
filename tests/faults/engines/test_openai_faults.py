"""The engine for the OpenAI API, with a server that misbehaves on a real socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from groundwire_index.errors import (
    FailedPreconditionError,
    GroundwireError,
    InvalidArgumentError,
    LimitExceededError,
    ResourceExhaustedError,
    UnavailableError,
    UnsupportedError,
)
from groundwire_server.components import Components, State
from groundwire_server.engines.engine import (
    Accepted,
    ChoiceEnd,
    Constraint,
    EngineEvent,
    EngineRequest,
    FinishReason,
    GenerationEnd,
    Message,
    Role,
    Sampling,
    TextPiece,
    Usage,
)
from groundwire_server.engines.openai import OpenAiEngine
from groundwire_server.parts import RunningEngine
from groundwire_server.waiting import Waiting

from tests.faults.engines.scripted_http import (
    DONE,
    HELLO,
    MODEL,
    USAGE,
    Answer,
    ScriptedHttp,
    answering,
    event,
    said,
    silent,
    streaming,
)

KEY = "sk-hunter2"
CHAT = (Message(Role.USER, "Who is there?"),)
BUSY = {"error": {"message": "too many", "code": "rate_limit"}}


def told(message: str, **more: str) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@asynccontextmanager
async def remote(
    *answers: Answer, models: Answer | None = None, **options: Any
) -> AsyncIterator[tuple[ScriptedHttp, OpenAiEngine]]:
    async with (
        ScriptedHttp(*answers, models=models) as server,
        started(server.url, **options) as engine,
    ):
        yield server, engine


@asynccontextmanager
async def started(url: str, **options: Any) -> AsyncIterator[OpenAiEngine]:
    engine = OpenAiEngine(url, MODEL, api_key=KEY, **options)
    try:
        await engine.start()
        yield engine
    finally:
        await engine.close()


def request(sampling: Sampling | None = None, **fields: Any) -> EngineRequest:
    return EngineRequest("one", sampling or Sampling(), messages=CHAT, **fields)


async def events_of(engine: OpenAiEngine, asked: EngineRequest | None = None) -> list[EngineEvent]:
    return [event async for event in engine.generate(asked or request())]


async def events_into(seen: list[EngineEvent], engine: OpenAiEngine) -> None:
    async for happening in engine.generate(request()):
        seen.append(happening)  # noqa: PERF401 - what came before an error counts


def text_of(events: list[EngineEvent], choice: int = 0) -> str:
    pieces = (event for event in events if isinstance(event, TextPiece))
    return "".join(piece.text for piece in pieces if piece.choice == choice)


async def failure(engine: OpenAiEngine, asked: EngineRequest | None = None) -> GroundwireError:
    with pytest.raises(GroundwireError) as caught:
        await events_of(engine, asked)
    assert KEY not in str(caught.value)
    return caught.value


async def test_a_stream_becomes_the_events_of_an_engine() -> None:
    async with remote(HELLO) as (server, engine):
        assert await events_of(engine) == [
            Accepted(prompt_tokens=11),
            TextPiece("Hello", 1),
            TextPiece(" there", 1),
            ChoiceEnd(FinishReason.STOP),
            GenerationEnd(Usage(7, 0, 2)),
        ]
    (sent,) = server.requests
    assert sent["messages"] == [{"role": "user", "content": "Who is there?"}]
    assert sent["stream_options"] == {"include_usage": True}
    assert f"Authorization: Bearer {KEY}" in server.heads[-1]


async def test_a_busy_server_is_asked_again_after_the_time_it_names() -> None:
    async with remote(answering(429, BUSY, {"Retry-After": "0.3"}), HELLO) as (server, engine):
        began = time.monotonic()
        assert text_of(await events_of(engine)) == "Hello there"
    assert len(server.requests) == 2
    assert time.monotonic() - began >= 0.3


async def test_a_server_that_is_busy_for_long_is_told_of_at_once() -> None:
    async with remote(answering(429, BUSY, {"Retry-After": "60"})) as (server, engine):
        error = await failure(engine)
    assert isinstance(error, ResourceExhaustedError)
    assert error.retry_after_s == 60
    assert len(server.requests) == 1


async def test_a_quota_that_is_used_up_is_not_tried_again() -> None:
    spent = answering(429, {"error": {"message": "pay", "code": "insufficient_quota"}})
    async with remote(spent) as (server, engine):
        error = await failure(engine)
    assert isinstance(error, ResourceExhaustedError)
    assert error.retry_after_s is None
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "broken",
    [
        answering(500, {"error": {"message": "oops"}}),
        answering(503, b"<html>no upstream</html>"),
        streaming(cut=True),
        streaming(b'data: {"choices": [{"ind', cut=True),
        streaming(b'data: {"choices": [{"ind'),
        streaming(DONE),
        streaming(event({"error": {"message": "engine died", "code": 500}})),
    ],
)
async def test_what_fails_before_the_first_token_is_tried_again(broken: Answer) -> None:
    async with remote(broken, broken, HELLO) as (server, engine):
        assert text_of(await events_of(engine)) == "Hello there"
    assert len(server.requests) == 3


async def test_a_server_that_goes_on_failing_is_unavailable() -> None:
    broken = answering(500, {"error": {"message": "out of memory"}})
    async with remote(broken, broken, broken, HELLO) as (server, engine):
        error = await failure(engine)
    assert isinstance(error, UnavailableError)
    assert "out of memory" in error.message
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "broken",
    [
        streaming(said("Hel"), cut=True),
        streaming(said("Hel"), b'data: {"choices": [{"index": 0, "del', cut=True),
        streaming(said("Hel"), b'data: {"choices": [{"index": 0, "del'),
        streaming(said("Hel")),
        streaming(said("Hel"), DONE),
        streaming(said("Hel"), USAGE, DONE),
        streaming(said("Hel"), event({"error": {"message": "died", "code": 500}}), DONE),
        streaming(said("Hel"), b"data: nonsense\n\n"),
        streaming(said("Hel"), event({"choices": [{"index": 5, "delta": {}}]})),
        streaming(said("Hel"), event({"choices": [7]})),
        streaming(said("Hel"), said("", finish="error")),
    ],
)
async def test_what_breaks_after_the_first_token_is_unavailable_and_not_tried_again(
    broken: Answer,
) -> None:
    async with remote(broken, HELLO) as (server, engine):
        seen: list[EngineEvent] = []
        with pytest.raises(UnavailableError):
            await events_into(seen, engine)
    assert text_of(seen) == "Hel"
    assert len(server.requests) == 1
    assert not any(isinstance(one, GenerationEnd) for one in seen)


async def test_a_choice_that_never_came_is_no_silent_loss() -> None:
    async with remote(HELLO) as (_, engine):
        error = await failure(engine, request(Sampling(n=2)))
    assert isinstance(error, UnavailableError)
    assert "choice 1 of 2" in error.message


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_bytes_may_be_cut_anywhere(size: int) -> None:
    whole = b": hello\r\n\r\n" + said("Zürich 🔭", finish="stop").replace(b"\n", b"\r\n") + DONE
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    async with remote(streaming(*chunks)) as (_, engine):
        assert text_of(await events_of(engine)) == "Zürich 🔭"


async def test_halves_of_a_code_point_in_two_events_come_as_one() -> None:
    first, second = "🔭".encode("utf-16-be")[:2].hex(), "🔭".encode("utf-16-be")[2:].hex()
    halves = [
        b'data: {"choices": [{"index": 0, "delta": {"content": "a\\u%s"}}]}\n\n' % first.encode(),
        b'data: {"choices": [{"index": 0, "delta": {"content": "\\u%s"}}]}\n\n' % second.encode(),
    ]
    async with remote(streaming(*halves, said("", finish="stop"), DONE)) as (_, engine):
        events = await events_of(engine)
    assert [one.text for one in events if isinstance(one, TextPiece)] == ["a", "🔭"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, told("no", param="top_p"), InvalidArgumentError, "sampling.top_p"),
        (422, {"detail": [{"msg": "no"}]}, InvalidArgumentError, "no"),
        (400, told("the maximum context length is 5"), LimitExceededError, "is 5"),
        (400, told("x", code="context_length_exceeded"), LimitExceededError, "x"),
        (413, b"too large", LimitExceededError, "too large"),
        (401, told(f"bad key {KEY}"), FailedPreconditionError, "openai_api_key"),
        (403, {"error": f"not {KEY}"}, FailedPreconditionError, "openai_api_key"),
        (404, told(f"no model, {KEY}"), FailedPreconditionError, "openai_model"),
        (307, b"", FailedPreconditionError, "openai_url"),
        (501, b"not here", UnsupportedError, "not here"),
    ],
)
async def test_a_refusal_is_an_error_that_says_what_to_do_and_is_not_tried_again(
    status: int, body: Any, kind: type[GroundwireError], words: str
) -> None:
    async with remote(answering(status, body, {"Location": "/elsewhere"}), HELLO) as (
        server,
        engine,
    ):
        error = await failure(engine)
    assert isinstance(error, kind)
    assert words in error.message
    assert len(server.requests) == 1


async def test_a_content_filter_is_told_apart_from_an_answer() -> None:
    async with remote(streaming(said("I "), said("", finish="content_filter"), DONE)) as (
        _,
        engine,
    ):
        error = await failure(engine)
    assert error.reason == "CONTENT_FILTERED"


async def test_a_server_that_stands_still_is_given_up_after_a_time_of_ones_own() -> None:
    async with remote(silent, HELLO, silence_s=0.2) as (server, engine):
        error = await failure(engine)
    assert error.reason == "REMOTE_SILENT"
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [silent, streaming(said("Hel"), hang=True)])
async def test_a_deadline_drops_the_connection(answer: Answer) -> None:
    async with remote(answer) as (server, engine):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await events_of(engine)
        await asyncio.wait_for(server.left.wait(), 1)
        assert engine.waiting == Waiting()


async def test_no_try_begins_after_the_deadline_so_that_the_reason_is_told() -> None:
    async with remote(answering(429, BUSY, {"Retry-After": "4"}), HELLO) as (server, engine):
        soon = asyncio.get_running_loop().time() + 2
        error = await failure(engine, request(deadline=soon))
    assert isinstance(error, ResourceExhaustedError)
    assert len(server.requests) == 1


async def test_the_server_is_not_asked_before_a_request_has_its_turn() -> None:
    async with remote(HELLO) as (server, engine):
        stream = engine.generate(request())
        assert isinstance(await anext(stream), Accepted)
        assert server.requests == []
        assert await anext(stream) == TextPiece("Hello", 1)
        await stream.aclose()


async def test_a_deadline_ends_the_wait_between_two_tries() -> None:
    async with remote(answering(429, BUSY, {"Retry-After": "5"})) as (server, engine):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await events_of(engine)
    assert len(server.requests) == 1


async def test_closing_the_generator_drops_the_connection_without_a_further_token() -> None:
    async with remote(streaming(said("Hel"), hang=True)) as (server, engine):
        stream = engine.generate(request())
        assert isinstance(await anext(stream), Accepted)
        assert await anext(stream) == TextPiece("Hel", 1)
        await stream.aclose()
        await asyncio.wait_for(server.left.wait(), 1)


async def test_closing_the_engine_ends_what_still_runs() -> None:
    async with remote(streaming(said("Hel"), hang=True)) as (server, engine):
        stream = engine.generate(request())
        assert isinstance(await anext(stream), Accepted)
        assert await anext(stream) == TextPiece("Hel", 1)
        await engine.close()
        with pytest.raises(UnavailableError):
            await anext(stream)
        await asyncio.wait_for(server.left.wait(), 1)


async def test_what_has_no_token_yet_is_waiting() -> None:
    async with remote(streaming(said(""), said("Hel"), hang=True)) as (server, engine):
        stream = engine.generate(request())
        await anext(stream)
        piece = asyncio.ensure_future(anext(stream))
        while not server.requests:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        assert engine.waiting.requests == 1
        assert engine.waiting.tokens > 0
        assert await piece == TextPiece("Hel", 1)
        assert engine.waiting == Waiting()
        await stream.aclose()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (request(Sampling(top_k=5)), "sampling.top_k"),
        (request(Sampling(min_p=0.0)), "sampling.min_p"),
        (request(Sampling(repetition_penalty=1.1)), "sampling.repetition_penalty"),
        (request(constraint=Constraint(regex="a+")), "constraint"),
    ],
)
async def test_what_the_api_cannot_carry_is_refused_by_name(
    asked: EngineRequest, field: str
) -> None:
    async with remote(HELLO) as (server, engine):
        error = await failure(engine, asked)
    assert isinstance(error, UnsupportedError)
    assert error.message.startswith(field)
    assert server.requests == []


@dataclass(frozen=True, slots=True)
class NewerSampling(Sampling):
    """Sampling as it may come to be."""

    thinking_tokens: int | None = None


async def test_a_field_that_came_later_is_refused_rather_than_ignored() -> None:
    async with remote(HELLO, HELLO) as (_, engine):
        error = await failure(engine, request(NewerSampling(thinking_tokens=5)))
        assert isinstance(error, UnsupportedError)
        assert "sampling.thinking_tokens" in error.message
        assert text_of(await events_of(engine, request(NewerSampling()))) == "Hello there"


async def test_with_vllms_dialect_its_fields_are_sent() -> None:
    sampling = Sampling(top_k=5, min_p=0.1, repetition_penalty=1.1)
    async with remote(HELLO, dialect="vllm") as (server, engine):
        await events_of(engine, request(sampling))
    (sent,) = server.requests
    names = ("top_k", "min_p", "repetition_penalty")
    assert [sent[name] for name in names] == [5, 0.1, 1.1]


async def test_without_a_tokenizer_tokens_are_estimated() -> None:
    async with remote() as (_, engine):
        assert await engine.count_tokens("") == 0
        assert 3 <= await engine.count_tokens("The observatory") <= 8
        assert await engine.count_tokens(CHAT) > await engine.count_tokens(CHAT[0].content)


async def test_tokens_are_estimated_too_while_the_tokenizer_is_out_of_reach() -> None:
    broken = answering(503, b"restarting")
    async with remote(answering(200, {"count": 99}), *[broken] * 3, dialect="vllm") as (_, engine):
        assert await engine.count_tokens("The observatory") == 99
        assert 3 <= await engine.count_tokens("The observatory") <= 8


async def test_a_key_that_is_quoted_in_the_midst_of_a_stream_is_masked() -> None:
    quoted = streaming(said("Hel"), event(told(f"bad {KEY}")))
    async with remote(quoted) as (_, engine):
        error = await failure(engine)
    assert "bad ***" in error.message


async def test_the_context_length_may_be_set() -> None:
    async with remote(context_length=4096) as (_, engine):
        assert engine.context_length == 4096


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (answering(401, {"error": {"message": KEY}}), "openai_api_key"),
        (answering(404, b"not found"), "openai_url"),
        (answering(200, {"data": [{"id": "other"}]}), '"other"'),
    ],
)
async def test_what_waiting_cannot_mend_keeps_the_engine_from_starting(
    models: Answer, words: str
) -> None:
    with pytest.raises(FailedPreconditionError, match=words) as caught:
        async with remote(models=models):
            pass
    assert KEY not in str(caught.value)


async def test_a_model_may_be_listed_with_its_default_version() -> None:
    async with remote(HELLO, models=answering(200, {"data": [{"id": f"{MODEL}:latest"}]})) as (
        _,
        engine,
    ):
        await engine.check()
        assert text_of(await events_of(engine)) == "Hello there"


async def test_a_server_that_is_not_there_yet_serves_when_it_is() -> None:
    async with remote(HELLO, models=answering(503, b"loading")) as (server, engine):
        with pytest.raises(UnavailableError, match="loading"):
            await engine.check()
        error = await failure(engine)
        assert isinstance(error, UnavailableError)
        server.models = answering(200, {"data": [{"id": MODEL, "max_model_len": 99}]})
        await engine.check()
        assert text_of(await events_of(engine)) == "Hello there"
        assert engine.context_length == 99


async def test_a_server_that_has_gone_is_noticed_by_the_next_look() -> None:
    async with ScriptedHttp() as server, started(server.url) as engine:
        components = Components([RunningEngine(engine)])
        await components.check()
        assert components.condition_of("engine/openai").state is State.READY
        await server.__aexit__(None, None, None)
        began = time.monotonic()
        await components.check()
        assert time.monotonic() - began < 1
        condition = components.condition_of("engine/openai")
        assert condition.state is State.FAILED
        assert "cannot be reached" in condition.detail
        error = await failure(engine)
        assert isinstance(error, UnavailableError)
        assert await engine.count_tokens("The observatory") > 0


async def test_a_server_that_hangs_is_noticed_within_the_time_of_a_look() -> None:
    async with remote() as (server, engine):
        server.models = silent
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="did not answer"):
            await engine.check()
        assert time.monotonic() - began < 2


async def test_what_a_look_found_holds_as_long_as_is_set() -> None:
    now = 0.0
    async with remote(check_period_s=30, clock=lambda: now) as (server, engine):
        await engine.check()
        asked = len(server.heads)
        now = 29.0
        await engine.check()
        assert len(server.heads) == asked
        now = 31.0
        await engine.check()
        assert len(server.heads) == asked + 1


async def test_an_engine_that_was_not_started_is_unavailable() -> None:
    engine = OpenAiEngine("http://127.0.0.1:1/v1", MODEL)
    with pytest.raises(UnavailableError):
        await engine.check()
    assert isinstance(await failure(engine), UnavailableError)
    await engine.close()
