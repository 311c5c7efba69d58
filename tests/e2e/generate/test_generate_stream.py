"""The stream of one answer, and what becomes of it when someone leaves."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, CountTokensRequest, GenerateRequest
from groundwire.v1.generation_pb2 import (
    FINISH_REASON_ABORTED,
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    FINISH_REASON_TOOL_CALLS,
    ROLE_USER,
    STORE_OUTCOME_UNSPECIFIED,
    Chat,
    Message,
    SamplingParameters,
)
from groundwire_index.errors import UnavailableError
from groundwire_server.engines.engine import (
    ChoiceEnd,
    FinishReason,
    GenerationEnd,
    ReasoningPiece,
    TextPiece,
    TokenLogprob,
    ToolCallPiece,
    Usage,
)

from tests.e2e.generate.serving import ALICE, BOB, Serve, details_of, kinds, rest_of, text_of
from tests.patience import during, in_time, longer_each_time
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

ASK = GenerateRequest(prompt="Why?")


async def test_events_come_in_order_and_the_end_comes_once(serve: Serve) -> None:
    engine = ScriptedEngine(saying("The", " dome"))
    async with serve(engine) as serving:
        events = [event async for event in serving.stub.Generate(ASK)]
    assert kinds(events)[0] == "started"
    assert kinds(events)[-1] == "finished"
    assert set(kinds(events)[1:-1]) == {"text_delta"}
    assert text_of(events) == "The dome"
    assert sum(event.text_delta.token_count for event in events) == 2
    started, finished = events[0].started, events[-1].finished
    assert (started.model, started.engine) == ("scripted", "scripted")
    assert started.request_id == engine.requests[0].request_id
    assert finished.finish_reason == FINISH_REASON_STOP
    assert (finished.usage.prompt_tokens, finished.usage.completion_tokens) == (7, 2)
    assert finished.timings.HasField("queue")
    assert finished.timings.HasField("prefill")
    assert finished.timings.HasField("decode")
    assert not finished.timings.HasField("embed")
    assert not finished.HasField("confidence")
    assert finished.stored == STORE_OUTCOME_UNSPECIFIED


async def test_an_adapter_is_asked_for_by_its_name(serve: Serve) -> None:
    engine = ScriptedEngine(saying("So"))
    engine.adapters = ("legal",)
    async with serve(engine) as serving:
        answer = await serving.stub.Complete(
            CompleteRequest(request=GenerateRequest(prompt="Why?", model="legal"))
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await serving.stub.Complete(
                CompleteRequest(request=GenerateRequest(prompt="Why?", model="medical"))
            )
    assert answer.model == "legal"
    assert [request.adapter for request in engine.requests] == ["legal"]
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert '"scripted", "legal"' in str(caught.value.details())


async def test_the_first_token_is_there_before_the_second_is_made(serve: Serve) -> None:
    second = asyncio.Event()
    script = saying("The", " dome")
    script.insert(1, second)
    async with serve(ScriptedEngine(script)) as serving:
        call = serving.stub.Generate(ASK)
        assert (await call.read()).HasField("started")
        assert (await call.read()).text_delta.text == "The"
        second.set()
        assert text_of(await rest_of(call)) == " dome"


async def test_a_prompt_reaches_the_engine_as_it_is_and_a_chat_as_messages(serve: Serve) -> None:
    engine = ScriptedEngine(saying("So"))
    chat = Chat(messages=[Message(role=ROLE_USER, content="Why [1]?")])
    async with serve(engine) as serving:
        await serving.stub.Complete(CompleteRequest(request=ASK))
        await serving.stub.Complete(CompleteRequest(request=GenerateRequest(chat=chat)))
    prompted, chatted = engine.requests
    assert (prompted.prompt, prompted.messages) == ("Why?", ())
    assert chatted.prompt is None
    assert [message.content for message in chatted.messages] == ["Why [1]?"]


async def test_complete_gathers_the_same_answer(serve: Serve) -> None:
    async with serve(ScriptedEngine(saying("The", " dome", reason=FinishReason.LENGTH))) as serving:
        answer = await serving.stub.Complete(
            CompleteRequest(request=GenerateRequest(prompt="Why?", request_id="r-1"))
        )
    assert answer.text == "The dome"
    assert (answer.request_id, answer.model, answer.engine) == ("r-1", "scripted", "scripted")
    assert answer.finished.finish_reason == FINISH_REASON_LENGTH
    assert answer.finished.usage.completion_tokens == 2
    assert answer.finished.timings.HasField("decode")


@pytest.mark.parametrize("last", [0, 1])
async def test_each_choice_has_its_own_text_and_end(serve: Serve, last: int) -> None:
    logprob = TokenLogprob("a", -0.5, (("b", -1.5),))
    first = 1 - last
    script = [
        TextPiece("a", 1, choice=0, logprobs=(logprob,)),
        TextPiece("x", 1, choice=1),
        TextPiece("y", 1, choice=1),
        ChoiceEnd((FinishReason.STOP, FinishReason.LENGTH)[first], choice=first),
        ChoiceEnd((FinishReason.STOP, FinishReason.LENGTH)[last], choice=last),
        GenerationEnd(Usage(3, 0, 3)),
    ]
    request = GenerateRequest(prompt="Why?", sampling=SamplingParameters(n=2, logprobs=1))
    async with serve(ScriptedEngine(script)) as serving:
        answer = await serving.stub.Complete(CompleteRequest(request=request))
        events = [event async for event in serving.stub.Generate(request)]
    assert answer.text == "a"
    assert answer.finished.finish_reason == FINISH_REASON_STOP
    assert answer.finished.usage.completion_tokens == 3
    assert (answer.logprobs[0].token, answer.logprobs[0].logprob) == ("a", -0.5)
    assert answer.logprobs[0].alternatives[0].token == "b"
    (other,) = answer.other_choices
    assert (other.choice, other.text, other.finish_reason) == (1, "xy", FINISH_REASON_LENGTH)
    ends = [event for event in events if event.HasField("finished")]
    assert [end.choice for end in ends] == [first, last]
    assert [end.finished.usage.completion_tokens for end in ends] == [0, 3]
    assert events[-1] == ends[-1]


async def test_reasoning_and_calls_are_told_apart_from_the_text_choice_by_choice(
    serve: Serve,
) -> None:
    script = [
        ReasoningPiece("I need the sky.", 4),
        TextPiece("One moment.", 2),
        ToolCallPiece(0, "c-1", "weather", "", 5),
        ToolCallPiece(0, "x-1", "dome", "{}", 5, choice=1),
        ToolCallPiece(0, "", "", '{"city": ', 1),
        ReasoningPiece("Hm.", 2, choice=1),
        ToolCallPiece(0, "", "", '"Jena"}', 1),
        ToolCallPiece(1, "c-2", "dome", "{}", 5),
        ChoiceEnd(FinishReason.TOOL_CALLS, choice=1),
        ChoiceEnd(FinishReason.TOOL_CALLS),
        GenerationEnd(Usage(3, 0, 25)),
    ]
    request = GenerateRequest(prompt="Why?", sampling=SamplingParameters(n=2))
    async with serve(ScriptedEngine(script)) as serving:
        events = [event async for event in serving.stub.Generate(request)]
        answer = await serving.stub.Complete(CompleteRequest(request=request))
    begun = [
        (event.choice, event.tool_call_delta.index, event.tool_call_delta.id)
        for event in events
        if event.tool_call_delta.name
    ]
    assert begun == [(0, 0, "c-1"), (1, 0, "x-1"), (0, 1, "c-2")]
    assert answer.text == text_of(events) == "One moment."
    assert answer.reasoning == "I need the sky."
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        ("c-1", "weather", '{"city": "Jena"}'),
        ("c-2", "dome", "{}"),
    ]
    assert answer.finished.finish_reason == FINISH_REASON_TOOL_CALLS
    (other,) = answer.other_choices
    assert (other.text, other.reasoning, other.finish_reason) == (
        "",
        "Hm.",
        FINISH_REASON_TOOL_CALLS,
    )
    assert [(call.id, call.name, call.arguments) for call in other.tool_calls] == [
        ("x-1", "dome", "{}")
    ]


class TestLeaving:
    """A client that goes away frees the engine, whatever the engine is doing."""

    async def test_before_the_first_token(self, serve: Serve) -> None:
        engine = ScriptedEngine([asyncio.Event()])
        async with serve(engine) as serving:
            call = serving.stub.Generate(ASK)
            await during(call, engine.entered.wait())
            call.cancel()
            await in_time(engine.closed.wait())
            assert engine.running == 0

    async def test_during_the_answer(self, serve: Serve) -> None:
        engine = ScriptedEngine([TextPiece("The", 1), asyncio.Event()])
        async with serve(engine) as serving:
            call = serving.stub.Generate(ASK)
            await call.read()
            assert (await call.read()).text_delta.text == "The"
            call.cancel()
            await in_time(engine.closed.wait())
            assert engine.running == 0

    async def test_while_it_does_not_read(self, serve: Serve) -> None:
        hold = asyncio.Event()
        engine = ScriptedEngine([*(TextPiece("x" * 100_000, 1) for _ in range(500)), hold])
        async with serve(engine) as serving:
            call = serving.stub.Generate(ASK)
            await call.read()
            await during(call, engine.entered.wait())
            call.cancel()
            await in_time(engine.closed.wait())

    async def test_in_the_middle_of_a_unary_call(self, serve: Serve) -> None:
        engine = ScriptedEngine([TextPiece("The", 1), asyncio.Event()])
        async with serve(engine) as serving:
            call = serving.stub.Complete(CompleteRequest(request=ASK))
            await during(call, engine.entered.wait())
            call.cancel()
            await in_time(engine.closed.wait())

    async def test_by_its_deadline(self, serve: Serve) -> None:
        engine = ScriptedEngine([TextPiece("The", 1), asyncio.Event()])
        async with serve(engine) as serving:
            for deadline_s in longer_each_time(0.3):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    async for _ in serving.stub.Generate(ASK, timeout=deadline_s):
                        pass
                assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
                if engine.requests:
                    break
            await in_time(engine.closed.wait())
            assert engine.running == 0

    async def test_its_request_id_is_free_again(self, serve: Serve) -> None:
        engine = ScriptedEngine([asyncio.Event()])
        request = GenerateRequest(prompt="Why?", request_id="r-1")
        async with serve(engine) as serving:
            call = serving.stub.Generate(request)
            await during(call, engine.entered.wait())
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await serving.stub.Complete(CompleteRequest(request=request))
            assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
            call.cancel()
            await in_time(engine.closed.wait())
            engine.script = saying("So")
            assert (await serving.stub.Complete(CompleteRequest(request=request))).text == "So"


class TestAbort:
    async def test_an_answer_in_progress_ends_with_what_it_has(self, serve: Serve) -> None:
        engine = ScriptedEngine([TextPiece("The dome", 2), asyncio.Event()])
        async with serve(engine) as serving:
            call = serving.stub.Generate(
                GenerateRequest(prompt="Why?", request_id="r-1"), metadata=ALICE
            )
            await call.read()
            await call.read()
            serving.running.abort("alice", "r-1")
            (last,) = await rest_of(call)
            assert await call.code() == grpc.StatusCode.OK
        assert last.finished.finish_reason == FINISH_REASON_ABORTED
        assert last.finished.usage.completion_tokens == 2
        assert engine.running == 0

    async def test_an_answer_that_has_not_begun_ends_too(self, serve: Serve) -> None:
        engine = ScriptedEngine([asyncio.Event()])
        async with serve(engine) as serving:
            call = serving.stub.Generate(
                GenerateRequest(prompt="Why?", request_id="r-1"), metadata=BOB
            )
            await during(call, engine.entered.wait())
            serving.running.abort("bob", "r-1")
            events = await rest_of(call)
        assert kinds(events) == ["started", "finished"]
        assert events[-1].finished.finish_reason == FINISH_REASON_ABORTED
        assert engine.running == 0

    async def test_every_choice_gets_its_end(self, serve: Serve) -> None:
        script = [TextPiece("a", 1), ChoiceEnd(FinishReason.STOP), asyncio.Event()]
        request = GenerateRequest(prompt="Why?", request_id="r-1", sampling=SamplingParameters(n=3))
        async with serve(ScriptedEngine(script)) as serving:
            call = serving.stub.Generate(request)
            for _ in range(3):
                event = await call.read()
            assert event.finished.finish_reason == FINISH_REASON_STOP
            serving.running.abort("default", "r-1")
            ends = [(event.choice, event.finished.finish_reason) for event in await rest_of(call)]
        assert ends == [(1, FINISH_REASON_ABORTED), (2, FINISH_REASON_ABORTED)]

    async def test_a_unary_call_gives_what_there_is(self, serve: Serve) -> None:
        engine = ScriptedEngine([TextPiece("The dome", 2), asyncio.Event()])
        async with serve(engine) as serving:
            call = serving.stub.Complete(
                CompleteRequest(request=GenerateRequest(prompt="Why?", request_id="r-1"))
            )
            await during(call, engine.entered.wait())
            serving.running.abort("default", "r-1")
            answer = await call
        assert answer.finished.finish_reason == FINISH_REASON_ABORTED


class TestFailing:
    async def test_a_refusal_of_the_engine_comes_before_anything_else(self, serve: Serve) -> None:
        engine = ScriptedEngine([UnavailableError("the engine is down", retry_after_s=3)])
        async with serve(engine) as serving:
            call = serving.stub.Generate(ASK)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert details_of(caught.value)["RetryInfo"].retry_delay.seconds == 3  # type: ignore[attr-defined]

    async def test_a_failure_in_the_middle_is_the_status_of_the_stream(self, serve: Serve) -> None:
        engine = ScriptedEngine([TextPiece("The", 1), UnavailableError("the engine is down")])
        async with serve(engine) as serving:
            call = serving.stub.Generate(ASK)
            assert (await call.read()).HasField("started")
            assert (await call.read()).text_delta.text == "The"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE

    async def test_a_reader_is_not_left_without_word_while_a_long_prompt_is_read(
        self, serve: Serve
    ) -> None:
        begin = asyncio.Event()
        async with serve(ScriptedEngine([begin, *saying("So")])) as serving:
            call = serving.stub.Generate(ASK)
            assert (await call.read()).HasField("started")
            begin.set()
            assert text_of(await rest_of(call)) == "So"

    async def test_an_unknown_model_is_told_with_those_there_are(self, serve: Serve) -> None:
        request = GenerateRequest(prompt="Why?", model="gpt-99")
        async with serve(ScriptedEngine([]), ScriptedEngine([], model="other")) as serving:
            for call in (
                serving.stub.Generate(request).read(),
                serving.stub.Complete(CompleteRequest(request=request)),
                serving.stub.CountTokens(CountTokensRequest(model="gpt-99", text="a")),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert caught.value.code() == grpc.StatusCode.NOT_FOUND
                assert '"other"' in (caught.value.details() or "")

    async def test_a_wrong_field_reaches_the_client_with_its_path(self, serve: Serve) -> None:
        request = GenerateRequest(prompt="Why?", sampling=SamplingParameters(max_tokens=-1))
        engine = ScriptedEngine([])
        async with serve(engine) as serving:
            for call, field in (
                (serving.stub.Generate(request).read(), "sampling.max_tokens"),
                (
                    serving.stub.Complete(CompleteRequest(request=request)),
                    "request.sampling.max_tokens",
                ),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
                (violation,) = details_of(caught.value)["BadRequest"].field_violations  # type: ignore[attr-defined]
                assert violation.field == field
        assert not engine.requests

    async def test_ten_megabytes_are_refused_and_the_server_goes_on(self, serve: Serve) -> None:
        async with serve(ScriptedEngine(saying("So"))) as serving:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await serving.stub.Generate(GenerateRequest(prompt="a" * 10_000_000)).read()
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert (await serving.stub.Complete(CompleteRequest(request=ASK))).text == "So"


class TestCountTokens:
    async def test_text_and_chats_are_counted_by_the_model(self, serve: Serve) -> None:
        engine = ScriptedEngine([], context_length=512)
        chat = Chat(messages=[Message(role=ROLE_USER, content="one two three")])
        async with serve(engine) as serving:
            text = await serving.stub.CountTokens(CountTokensRequest(text="one two"))
            counted = await serving.stub.CountTokens(CountTokensRequest(chat=chat))
            empty = await serving.stub.CountTokens(CountTokensRequest(text=""))
        assert (text.token_count, text.model, text.context_length) == (2, "scripted", 512)
        assert counted.token_count == 3
        assert empty.token_count == 0

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (CountTokensRequest(), "input"),
            (CountTokensRequest(text="a" * 10_000_000), "text"),
            (CountTokensRequest(chat=Chat()), "chat.messages"),
            (
                CountTokensRequest(chat=Chat(messages=[Message(content="a")])),
                "chat.messages[0].role",
            ),
        ],
    )
    async def test_wrong_input_is_named(
        self, serve: Serve, request_: CountTokensRequest, field: str
    ) -> None:
        async with serve(ScriptedEngine([])) as serving:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await serving.stub.CountTokens(request_)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        (violation,) = details_of(caught.value)["BadRequest"].field_violations  # type: ignore[attr-defined]
        assert violation.field == field
