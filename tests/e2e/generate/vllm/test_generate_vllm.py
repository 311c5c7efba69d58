"""GenerateService over the real vLLM engine, with a small model of random weights."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, CountTokensRequest, GenerateRequest
from groundwire.v1.generation_pb2 import (
    FINISH_REASON_ABORTED,
    FINISH_REASON_LENGTH,
    ROLE_USER,
    STORE_OUTCOME_STORED,
    Chat,
    Grounding,
    Message,
    SamplingParameters,
)
from groundwire_server.engines.engine import (
    Accepted,
    Begun,
    EngineRequest,
    GenerationEnd,
    Sampling,
)
from groundwire_server.engines.vllm import VllmEngine
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.waiting import Waiting

from tests.e2e.generate.serving import ALICE, Serve, kinds, rest_of, text_of
from tests.models import CONTEXT_LENGTH
from tests.patience import until

pytestmark = pytest.mark.vllm

SHORT = SamplingParameters(temperature=0, max_tokens=8)


async def test_a_chat_streams_and_the_end_has_usage_and_timings(
    serve: Serve, engine: VllmEngine
) -> None:
    chat = Chat(messages=[Message(role=ROLE_USER, content="When does it open?")])
    async with serve(engine) as serving:
        request = GenerateRequest(chat=chat, sampling=SHORT)
        events = [event async for event in serving.stub.Generate(request)]
        gathered = await serving.stub.Complete(CompleteRequest(request=request))
        counted = await serving.stub.CountTokens(CountTokensRequest(chat=chat))
    assert (events[0].started.model, events[0].started.engine) == ("small", "vllm")
    finished = events[-1].finished
    assert finished.finish_reason == FINISH_REASON_LENGTH
    assert finished.usage.completion_tokens == 8
    assert finished.usage.prompt_tokens == counted.token_count
    # A token that is only the beginning of a character comes with the next text, or with none.
    assert 4 < sum(event.text_delta.token_count for event in events) <= 8
    assert finished.timings.HasField("prefill")
    assert finished.timings.HasField("decode")
    assert gathered.text == text_of(events)
    assert counted.context_length == CONTEXT_LENGTH


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stop", [(), ("e",)])
async def test_a_stream_says_what_the_unary_answer_does(
    serve: Serve, engine: VllmEngine, seed: int, stop: tuple[str, ...]
) -> None:
    """Babble of single bytes, so that characters are often in several tokens."""
    sampling = SamplingParameters(
        temperature=1.5, seed=seed, max_tokens=60, n=3, logprobs=2, stop=stop
    )
    request = GenerateRequest(prompt="望遠鏡 🔭", sampling=sampling)
    async with serve(engine) as serving:
        events = [event async for event in serving.stub.Generate(request)]
        answer = await serving.stub.Complete(CompleteRequest(request=request))
    choices = [answer, *answer.other_choices]
    for number, choice in enumerate(choices):
        own = [event for event in events if event.choice == number]
        assert text_of(own) == choice.text
        logprobs = [one.token for event in own for one in event.text_delta.logprobs]
        assert logprobs == [one.token for one in choice.logprobs]
    assert len({choice.text for choice in choices}) == 3


@pytest.mark.usefixtures("library")
async def test_a_grounded_prompt_leaves_room_for_its_answer(
    serve: Serve, engine: VllmEngine
) -> None:
    request = GenerateRequest(
        prompt="How wide is the main mirror?",
        grounding=Grounding(collection="notes", top_k=5),
        sampling=SHORT,
    )
    async with serve(engine) as serving:
        events = [event async for event in serving.stub.Generate(request, metadata=ALICE)]
    assert kinds(events)[:2] == ["started", "sources"]
    passages = events[1].sources.passages
    assert passages[0].chunk_id == "mirror"
    assert [passage.number for passage in passages] == list(range(1, len(passages) + 1))
    finished = events[-1].finished
    assert finished.usage.prompt_tokens + 8 <= CONTEXT_LENGTH
    # Babble cites nothing that holds.
    assert finished.confidence == 0
    assert not any(event.HasField("citation") for event in events)


async def test_a_session_goes_into_the_prompt_and_grows(
    serve: Serve, engine: VllmEngine, sessions: RedisSessions, session_id: str
) -> None:
    await sessions.create("alice", "al", session_id=session_id)
    prompts = []
    async with serve(engine) as serving:
        for question in ("When does it open?", "And close?"):
            answer = await serving.stub.Complete(
                CompleteRequest(
                    request=GenerateRequest(prompt=question, session_id=session_id, sampling=SHORT)
                ),
                metadata=ALICE,
            )
            assert answer.finished.stored == STORE_OUTCOME_STORED
            prompts.append(answer.finished.usage.prompt_tokens)
    assert prompts[1] > prompts[0]
    turns = (await sessions.turns("alice", session_id, after=0, limit=10)).turns
    assert [turn.content for turn in turns[::2]] == ["When does it open?", "And close?"]


async def test_a_client_that_leaves_frees_the_engine_and_an_abort_ends_the_stream(
    serve: Serve, engine: VllmEngine
) -> None:
    endless = SamplingParameters(temperature=1, seed=7, max_tokens=450)
    request = GenerateRequest(prompt="Every visitor", sampling=endless, request_id="r-1")
    async with serve(engine) as serving:
        call = serving.stub.Generate(request)
        await call.read()
        await call.read()
        serving.running.abort("default", "r-1")
        last = (await rest_of(call))[-1]
        assert last.finished.finish_reason == FINISH_REASON_ABORTED
        assert last.finished.usage.completion_tokens < 450

        call = serving.stub.Generate(request)
        await call.read()
        await call.read()
        call.cancel()
        await until(lambda: not engine._vllm.get_num_unfinished_requests(), "it is free")
        answer = await serving.stub.Complete(
            CompleteRequest(request=GenerateRequest(prompt="Every visitor", sampling=SHORT))
        )
    assert answer.finished.usage.completion_tokens == 8


async def test_as_many_stop_strings_as_are_allowed_work_and_a_thousand_are_refused(
    serve: Serve, engine: VllmEngine
) -> None:
    request = GenerateRequest(prompt="The dome", sampling=SHORT)
    async with serve(engine) as serving:
        request.sampling.stop.extend(f"{number:0256}" for number in range(16))
        answer = await serving.stub.Complete(CompleteRequest(request=request))
        assert answer.finished.finish_reason == FINISH_REASON_LENGTH
        request.sampling.stop.extend(f"{number}" for number in range(1000))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await serving.stub.Complete(CompleteRequest(request=request))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "request.sampling.stop: has 1,016 items; 0 to 16 are allowed"


async def test_a_generation_waits_until_its_first_token(engine: VllmEngine) -> None:
    request = EngineRequest("r", Sampling(max_tokens=8), prompt="The dome opens.")
    async with aclosing(engine.generate(request)) as events:
        accepted = await anext(events)
        assert await anext(events) == Begun()
        first = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)  # Let it reach the engine.
        waiting = engine.waiting
        await first
        assert engine.waiting == Waiting(0, 0)
        *_, end = [event async for event in events]
    assert isinstance(end, GenerationEnd)
    assert accepted == Accepted(end.usage.prompt_tokens)
    assert waiting == Waiting(1, end.usage.prompt_tokens)


async def test_a_prompt_longer_than_the_context_is_refused(
    serve: Serve, engine: VllmEngine
) -> None:
    async with serve(engine) as serving:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await serving.stub.Generate(GenerateRequest(prompt="the dome " * 500)).read()
    assert caught.value.code() == grpc.StatusCode.OUT_OF_RANGE
    assert str(CONTEXT_LENGTH - 1) in (caught.value.details() or "")


async def test_tokens_that_the_prefix_cache_had_are_counted(
    serve: Serve, engine: VllmEngine
) -> None:
    request = GenerateRequest(prompt="The nights are dark and dry. " * 40, sampling=SHORT)
    async with serve(engine) as serving:
        for _ in range(2):
            answer = await serving.stub.Complete(CompleteRequest(request=request))

        def value(name: str) -> float | None:
            name = f"groundwire_generation_{name}_total"
            return serving.metrics.registry.get_sample_value(name, {"model": "small"})

        assert 0 < answer.finished.usage.cached_tokens == value("cached_tokens")
        assert value("prefix_hits") == 1
        assert value("prompt_tokens") == 2 * answer.finished.usage.prompt_tokens
        assert value("completion_tokens") == 16
