"""The vLLM engine, on a real engine core with a small model."""

from __future__ import annotations

import asyncio
import contextlib
import os

import psutil
import pytest
from groundwire_index.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    LimitExceededError,
    UnavailableError,
)
from groundwire_server.engines.engine import (
    Accepted,
    Begun,
    ChoiceEnd,
    EngineEvent,
    EngineRequest,
    FinishReason,
    GenerationEnd,
    Message,
    Role,
    Sampling,
    TextPiece,
)
from groundwire_server.engines.vllm import VllmEngine
from groundwire_server.engines.vllm_start import import_vllm

from tests.models import CONTEXT_LENGTH, VLLM_ARGS, small_llama

pytestmark = pytest.mark.vllm

CHAT = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "When does it open?"))
GREEDY = Sampling(temperature=0.0, max_tokens=12)
# The model is random, so it hardly ever ends by itself.
ENDLESS = Sampling(temperature=1.0, seed=7)


def request(
    sampling: Sampling = GREEDY, *, prompt: str | None = None, priority: int = 0
) -> EngineRequest:
    messages = CHAT if prompt is None else ()
    return EngineRequest("same-id", sampling, prompt, messages, priority=priority)


async def events_of(engine: VllmEngine, request: EngineRequest) -> list[EngineEvent]:
    return [event async for event in engine.generate(request)]


def text_of(events: list[EngineEvent], choice: int = 0) -> str:
    pieces = (event for event in events if isinstance(event, TextPiece))
    return "".join(piece.text for piece in pieces if piece.choice == choice)


def core_is_idle(engine: VllmEngine) -> bool:
    return engine._vllm.get_num_unfinished_requests() == 0


async def test_an_answer_streams_in_pieces_and_ends_with_its_usage(engine: VllmEngine) -> None:
    first, second, *pieces, end, last = await events_of(engine, request())

    assert isinstance(first, Accepted)
    assert second == Begun()
    assert len(pieces) > 1
    assert all(isinstance(piece, TextPiece) for piece in pieces)
    assert end == ChoiceEnd(FinishReason.LENGTH)
    assert isinstance(last, GenerationEnd)
    assert last.usage.completion_tokens == 12
    assert last.usage.prompt_tokens == await engine.count_tokens(CHAT)
    assert last.queue_s is not None


async def test_a_prompt_that_was_read_before_comes_from_the_cache(engine: VllmEngine) -> None:
    prompt = "The lamps are covered when the night is dark. " * 12
    await events_of(engine, request(prompt=prompt))

    last = (await events_of(engine, request(prompt=prompt)))[-1]

    assert isinstance(last, GenerationEnd)
    assert 0 < last.usage.cached_tokens < last.usage.prompt_tokens


async def test_a_prompt_is_continued_as_it_is_and_a_chat_by_its_template(
    engine: VllmEngine,
) -> None:
    rendered = "<|begin|><|system|>Be brief.<|end|><|user|>When does it open?<|end|><|assistant|>"

    assert text_of(await events_of(engine, request(prompt=rendered))) == text_of(
        await events_of(engine, request())
    )


async def test_the_same_seed_gives_the_same_text(engine: VllmEngine) -> None:
    def seeded(seed: int) -> EngineRequest:
        return request(Sampling(temperature=1.0, seed=seed, max_tokens=12))

    first, again, other = [text_of(await events_of(engine, seeded(seed))) for seed in (3, 3, 4)]

    assert first == again != other


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**63 - 1])
async def test_every_64_bit_seed_is_taken(engine: VllmEngine, seed: int) -> None:
    sampling = Sampling(temperature=1.0, seed=seed, max_tokens=2, n=3)

    assert isinstance((await events_of(engine, request(sampling)))[-1], GenerationEnd)


async def test_the_text_ends_before_a_stop_string(engine: VllmEngine) -> None:
    whole = text_of(await events_of(engine, request()))
    stop = whole[4:7]

    events = await events_of(
        engine, request(Sampling(temperature=0.0, max_tokens=12, stop=(stop,)))
    )

    assert text_of(events) == whole[: whole.index(stop)]
    assert ChoiceEnd(FinishReason.STOP) in events


async def test_choices_are_told_apart_and_each_ends(engine: VllmEngine) -> None:
    events = await events_of(engine, request(Sampling(temperature=1.0, seed=1, max_tokens=6, n=3)))

    ends = [event for event in events if isinstance(event, ChoiceEnd)]
    assert sorted(end.choice for end in ends) == [0, 1, 2]
    assert len({text_of(events, choice) for choice in range(3)}) == 3
    assert isinstance(events[-1], GenerationEnd)
    assert events[-1].usage.completion_tokens == 18


async def test_log_probabilities_come_with_each_token(engine: VllmEngine) -> None:
    events = await events_of(engine, request(Sampling(temperature=0.0, max_tokens=8, logprobs=2)))

    logprobs = [one for event in events if isinstance(event, TextPiece) for one in event.logprobs]
    assert len(logprobs) == 8
    for one in logprobs:
        assert one.logprob <= 0
        assert all(logprob <= one.logprob for _, logprob in one.alternatives)
        assert 1 <= len(one.alternatives) <= 2


async def test_every_way_of_choosing_tokens_reaches_the_model(engine: VllmEngine) -> None:
    plain = Sampling(temperature=1.0, seed=9, max_tokens=16)
    narrowed = {
        "top_k": Sampling(temperature=1.0, seed=9, max_tokens=16, top_k=1),
        "top_p": Sampling(temperature=1.0, seed=9, max_tokens=16, top_p=1e-6),
        "min_p": Sampling(temperature=1.0, seed=9, max_tokens=16, min_p=1.0),
    }
    greedy = text_of(await events_of(engine, request(Sampling(temperature=0.0, max_tokens=16))))
    assert text_of(await events_of(engine, request(plain))) != greedy

    for name, sampling in narrowed.items():
        assert text_of(await events_of(engine, request(sampling))) == greedy, name


async def test_penalties_keep_a_token_from_coming_back(engine: VllmEngine) -> None:
    for sampling in (
        Sampling(temperature=0.0, max_tokens=60, repetition_penalty=2.0, logprobs=0),
        Sampling(
            temperature=0.0, max_tokens=60, presence_penalty=2.0, frequency_penalty=2.0, logprobs=0
        ),
    ):
        penalised, free = [
            len(
                {
                    one.token
                    for event in await events_of(engine, request(each))
                    if isinstance(event, TextPiece)
                    for one in event.logprobs
                }
            )
            for each in (sampling, Sampling(temperature=0.0, max_tokens=60, logprobs=0))
        ]
        assert penalised > free


async def test_the_default_number_of_tokens_and_the_context_bound_an_answer(
    engine: VllmEngine,
) -> None:
    by_default = (await events_of(engine, request(ENDLESS)))[-1]
    prompt = "a " * ((CONTEXT_LENGTH - 8) // 2)
    length = await engine.count_tokens(prompt)
    by_context = await events_of(
        engine, request(Sampling(max_tokens=10_000, seed=1), prompt=prompt)
    )

    assert isinstance(by_default, GenerationEnd)
    assert by_default.usage.completion_tokens <= 20
    assert isinstance(by_context[-1], GenerationEnd)
    assert by_context[-1].usage.completion_tokens <= CONTEXT_LENGTH - length


async def test_a_prompt_longer_than_the_context_is_refused_with_the_limit(
    engine: VllmEngine,
) -> None:
    with pytest.raises(LimitExceededError, match="511 fit the context") as caught:
        await anext(engine.generate(request(prompt="word " * 1000)))

    assert caught.value.metadata["context_length"] == str(CONTEXT_LENGTH)
    assert core_is_idle(engine)


async def test_what_vllm_cannot_sample_is_an_argument_error(engine: VllmEngine) -> None:
    with pytest.raises(InvalidArgumentError, match="greedy"):
        await anext(engine.generate(request(Sampling(temperature=0.0, n=2))))

    assert core_is_idle(engine)


async def test_requests_carry_a_priority(engine: VllmEngine) -> None:
    events = await events_of(engine, request(Sampling(max_tokens=2, seed=1), priority=-3))

    assert isinstance(events[-1], GenerationEnd)


async def test_the_choices_of_a_seed_are_the_same_again(engine: VllmEngine) -> None:
    asked = request(Sampling(temperature=1.0, seed=5, max_tokens=8, n=3))
    first, again = [await events_of(engine, asked) for _ in range(2)]
    texts = [text_of(first, choice) for choice in range(3)]

    assert texts == [text_of(again, choice) for choice in range(3)]
    assert len(set(texts)) == 3


async def test_closing_the_stream_frees_the_request_while_it_decodes(engine: VllmEngine) -> None:
    stream = engine.generate(request(Sampling(max_tokens=400, seed=1)))
    assert isinstance(await anext(stream), Accepted)
    assert await anext(stream) == Begun()
    assert isinstance(await anext(stream), TextPiece)

    await stream.aclose()

    assert core_is_idle(engine)


@pytest.mark.parametrize("turns", range(1, 12))
async def test_cancelling_frees_the_request_wherever_it_is(engine: VllmEngine, turns: int) -> None:
    """At each of the first turns of the loop: rendering, handing over, queued, prefill."""
    task = asyncio.create_task(events_of(engine, request(Sampling(max_tokens=400, seed=1))))
    for _ in range(turns):
        await asyncio.sleep(0)

    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert core_is_idle(engine)


async def test_no_code_point_is_split(engine: VllmEngine) -> None:
    """Pieces together decode to what the tokens decode to at once."""
    sampling = Sampling(temperature=1.0, seed=11, max_tokens=200, logprobs=0)
    events = await events_of(engine, request(sampling))

    assert all(piece.text for piece in events[:-3] if isinstance(piece, TextPiece))
    assert text_of(events).encode("utf-8", "strict")
    counted = sum(event.token_count for event in events if isinstance(event, TextPiece))
    assert isinstance(events[-1], GenerationEnd)
    assert counted == events[-1].usage.completion_tokens


async def test_tokens_are_counted_by_the_models_own_tokenizer(engine: VllmEngine) -> None:
    assert await engine.count_tokens("") == 0
    assert await engine.count_tokens("The observatory") == 2
    assert await engine.count_tokens(CHAT) > await engine.count_tokens(CHAT[1:])


async def test_many_requests_run_at_once(engine: VllmEngine) -> None:
    alone = text_of(await events_of(engine, request()))

    together = await asyncio.gather(*(events_of(engine, request()) for _ in range(16)))

    assert {text_of(events) for events in together} == {alone}
    await engine.check()


async def test_an_engine_that_was_not_started_is_unavailable() -> None:
    engine = VllmEngine("/models/none")

    with pytest.raises(UnavailableError):
        await engine.check()
    with pytest.raises(UnavailableError):
        await events_of(engine, request())
    with pytest.raises(UnavailableError):
        await engine.count_tokens("The observatory")
    await engine.close()


async def is_down(engine: VllmEngine) -> bool:
    try:
        await engine.check()
    except UnavailableError:
        return True
    return False


async def test_a_dead_engine_core_is_unavailable_but_for_counting_and_leaves_no_process() -> None:
    before = children()
    # Its worker has a process of its own, as where there are many processors, or GPUs.
    args = {**VLLM_ARGS, "distributed_executor_backend": "mp"}
    engine = VllmEngine(str(small_llama()), args=args)
    await engine.start()
    (core,) = children() - before
    workers = psutil.Process(core).children()
    assert workers

    psutil.Process(core).kill()
    # The first one: vLLM begins to read what the core says with it.
    came_then = asyncio.create_task(events_of(engine, request()))

    async with asyncio.timeout(30):
        while not await is_down(engine):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        with pytest.raises(UnavailableError, match="died"):
            await came_then
    with pytest.raises(UnavailableError, match="died"):
        await events_of(engine, request())
    assert await engine.count_tokens("The observatory") == 2
    assert await engine.count_tokens(CHAT) > await engine.count_tokens(CHAT[1:])
    await engine.close()
    await engine.close()
    assert children() == before
    assert psutil.wait_procs(workers, timeout=60)[1] == []


async def test_a_model_sees_the_gpus_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def start(_: object) -> None:
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
        raise RuntimeError("seen enough")

    # With its warnings, which are not ours.
    import_vllm()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setattr("vllm.v1.engine.async_llm.AsyncLLM.from_engine_args", start)
    engine = VllmEngine(str(small_llama()), args=VLLM_ARGS, gpus="1,2")
    with pytest.raises(FailedPreconditionError, match="seen enough"):
        await engine.start()
    await engine.close()

    assert seen == ["1,2"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"


async def test_closing_while_it_starts_ends_the_processes() -> None:
    before = children()
    engine = VllmEngine(str(small_llama()), args=VLLM_ARGS)
    start = asyncio.create_task(engine.start())
    # Nothing tells us when a process has been started, so look until one has.
    while children() == before and not start.done():  # noqa: ASYNC110
        await asyncio.sleep(0.05)

    start.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await start
    await engine.close()

    assert children() == before


def children() -> set[int]:
    """Our own processes, without the one that multiprocessing keeps for itself."""
    return {
        child.pid
        for child in psutil.Process().children()
        if "resource_tracker" not in " ".join(child.cmdline())
    }
