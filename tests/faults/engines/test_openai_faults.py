"""The engine for the OpenAI API, with a server that misbehaves on a real socket."""

from __future__ import annotations

import asyncio
import json
import time
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
from groundwire_server.engines import openai_http
from groundwire_server.engines.engine import (
    Accepted,
    Begun,
    ChoiceEnd,
    EngineEvent,
    FinishReason,
    GenerationEnd,
    Sampling,
    TextPiece,
    Usage,
)
from groundwire_server.engines.openai import OpenAiEngine
from groundwire_server.waiting import Waiting

from tests.faults.engines.asking import (
    BUSY,
    KEY,
    events_into,
    events_of,
    failure,
    remote,
    request,
    text_of,
    told,
)
from tests.faults.engines.scripted_http import (
    DONE,
    HELLO,
    USAGE,
    Answer,
    ScriptedHttp,
    answering,
    event,
    said,
    silent,
    streaming,
)
from tests.patience import PATIENCE_S, in_time, until


async def test_a_stream_becomes_the_events_of_an_engine() -> None:
    async with remote(HELLO) as (server, engine):
        assert await events_of(engine) == [
            Accepted(prompt_tokens=11),
            Begun(),
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


async def test_the_next_try_reads_nothing_of_the_one_before() -> None:
    broken = streaming(event({"error": {"message": "engine died", "code": 500}}) + said("lost"))
    async with remote(broken, HELLO) as (server, engine):
        assert text_of(await events_of(engine)) == "Hello there"
    assert len(server.requests) == 2


@pytest.mark.parametrize("half", ["reasoning", "arguments", "token"])
async def test_half_a_code_point_beside_the_text_ends_no_answer(half: str) -> None:
    """Python's JSON has it as a string that no message can hold."""
    call = {"index": 0, "id": "c", "function": {"name": "look", "arguments": "\ud83d"}}
    deltas: dict[str, Any] = {
        "reasoning": {"delta": {"reasoning": "\ud83d"}},
        "arguments": {"delta": {"tool_calls": [call]}},
        "token": {
            "delta": {"content": "x"},
            "logprobs": {"content": [{"token": "\ud83d", "logprob": -1.0, "top_logprobs": []}]},
        },
    }
    piece = json.dumps({"choices": [{"index": 0, **deltas[half]}]}).encode()
    async with remote(streaming(b"data: " + piece + b"\n\n", said("", finish="stop"), DONE)) as (
        _,
        engine,
    ):
        for happening in await events_of(engine):
            assert "ud83d" not in repr(happening)


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


async def be_late(server: ScriptedHttp, engine: OpenAiEngine) -> None:
    """Ask, with a deadline that passes when the server has been asked."""
    async with asyncio.timeout(PATIENCE_S) as deadline:

        async def pass_soon() -> None:
            await until(lambda: bool(server.requests))
            deadline.reschedule(asyncio.get_running_loop().time() + 0.2)

        passing = asyncio.create_task(pass_soon())
        await events_of(engine)
    await passing


@pytest.mark.parametrize("answer", [silent, streaming(said("Hel"), hang=True)])
async def test_a_deadline_drops_the_connection(answer: Answer) -> None:
    async with remote(answer) as (server, engine):
        with pytest.raises(TimeoutError):
            await be_late(server, engine)
        await in_time(server.left.wait(), "the connection is dropped")
        assert engine.waiting == Waiting()


async def test_no_try_begins_after_the_deadline_so_that_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openai_http, "_LONGEST_PAUSE_S", 10 * PATIENCE_S)
    later = str(round(5 * PATIENCE_S))
    async with remote(answering(429, BUSY, {"Retry-After": later}), HELLO) as (server, engine):
        soon = asyncio.get_running_loop().time() + PATIENCE_S
        error = await failure(engine, request(deadline=soon))
    assert isinstance(error, ResourceExhaustedError)
    assert len(server.requests) == 1


async def test_the_server_is_not_asked_before_a_request_has_its_turn() -> None:
    async with remote(HELLO) as (server, engine):
        stream = engine.generate(request())
        assert isinstance(await anext(stream), Accepted)
        assert server.requests == []
        assert await anext(stream) == Begun()
        assert await anext(stream) == TextPiece("Hello", 1)
        await stream.aclose()


async def test_a_deadline_ends_the_wait_between_two_tries() -> None:
    async with remote(answering(429, BUSY, {"Retry-After": "5"})) as (server, engine):
        with pytest.raises(TimeoutError):
            await be_late(server, engine)
    assert len(server.requests) == 1


async def test_closing_the_generator_drops_the_connection_without_a_further_token() -> None:
    async with remote(streaming(said("Hel"), hang=True)) as (server, engine):
        stream = engine.generate(request())
        assert isinstance(await anext(stream), Accepted)
        assert await anext(stream) == Begun()
        assert await anext(stream) == TextPiece("Hel", 1)
        await stream.aclose()
        await in_time(server.left.wait(), "the connection is dropped")


async def test_closing_the_engine_ends_what_still_runs() -> None:
    async with remote(streaming(said("Hel"), hang=True)) as (server, engine):
        stream = engine.generate(request())
        assert isinstance(await anext(stream), Accepted)
        assert await anext(stream) == Begun()
        assert await anext(stream) == TextPiece("Hel", 1)
        await engine.close()
        with pytest.raises(UnavailableError):
            await anext(stream)
        await in_time(server.left.wait(), "the connection is dropped")
