"""Which answers are kept, and what becomes of them when something fails."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import GenerateRequest
from groundwire.v1.generation_pb2 import (
    CACHE_OUTCOME_EXACT,
    CACHE_OUTCOME_UNSPECIFIED,
    CACHE_POLICY_OFF,
    SamplingParameters,
)
from groundwire_index import Index
from groundwire_index.errors import UnavailableError
from groundwire_server.caching.redis_cache import LEFT_ALONE_S
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.models import Models, RouteSpec
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.request import CachePolicy
from groundwire_server.memory.redis_server import RedisServer

from tests.e2e.generate.caching import ASK, Cached, ask, changed, outcome
from tests.e2e.generate.serving import Serve, details_of, text_of
from tests.patience import until
from tests.unit.grounding.scripted_engine import ScriptedEngine, Step, saying

BYPASSES = "groundwire_cache_bypasses_total"


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (SamplingParameters(temperature=0), True),
        (SamplingParameters(seed=7), True),
        (SamplingParameters(), False),
        (SamplingParameters(temperature=0.7), False),
    ],
    ids=["greedy", "seeded", "as the model does", "warm"],
)
async def test_without_a_word_only_what_has_one_answer_is_kept(
    cached: Cached, sampling: SamplingParameters, kept: bool
) -> None:
    cached.default = CachePolicy.EXACT
    request = GenerateRequest(prompt="Why?", sampling=sampling)
    async with cached.serve(ScriptedEngine(saying("So."))) as serving:
        await ask(serving, request)
        assert (outcome(await ask(serving, request)) == CACHE_OUTCOME_EXACT) is kept
        off = await ask(serving, changed(request, cache=CACHE_POLICY_OFF))
        assert outcome(off) == CACHE_OUTCOME_UNSPECIFIED


@pytest.mark.parametrize(
    "fields",
    [
        {"session_id": "s"},
        {"subject": "ada"},
        {"sampling": SamplingParameters(logprobs=1)},
    ],
    ids=["session", "subject", "logprobs"],
)
async def test_what_rests_on_memories_or_is_too_large_cannot_be_asked_to_be_kept(
    cached: Cached, fields: dict[str, object]
) -> None:
    async with cached.serve(ScriptedEngine(saying("So."))) as serving:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(serving, changed(ASK, **fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "cache" in str(details_of(caught.value)["BadRequest"])


async def test_an_answer_to_a_subject_is_never_kept(cached: Cached) -> None:
    cached.default = CachePolicy.SEMANTIC
    engine = ScriptedEngine(saying("So."))
    sampling = SamplingParameters(temperature=0)
    request = GenerateRequest(prompt="Why?", subject="ada", sampling=sampling)
    async with cached.serve(engine) as serving:
        for _ in range(2):
            assert outcome(await ask(serving, request)) == CACHE_OUTCOME_UNSPECIFIED
    assert len(engine.requests) == 2


async def test_an_error_is_not_kept(cached: Cached) -> None:
    script: list[Step] = [UnavailableError("the core has died")]
    engine = ScriptedEngine(script)
    async with cached.serve(engine) as serving:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(serving)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        engine.script = saying("Because.")
        assert text_of(await ask(serving)) == "Because."


async def test_the_answer_of_another_model_in_its_place_is_not_kept(cached: Cached) -> None:
    down = ScriptedEngine([UnavailableError("the core has died")], model="large")
    small = ScriptedEngine(saying("So it is said."), model="small")
    served = [ServedModel(down), ServedModel(small)]
    routes = [RouteSpec("chat", {"large": 1}, ("small",))]
    async with cached.serve(Models(served, routes=routes, default="chat")) as serving:
        for _ in range(2):
            events = await ask(serving)
            assert events[-1].finished.degraded
            assert outcome(events) == CACHE_OUTCOME_UNSPECIFIED
    assert len(small.requests) == 2


async def test_without_its_redis_everything_is_answered_by_the_model_and_counted(
    serve: Serve, index: Index, embedder: Embedder, tmp_path: Path
) -> None:
    away = Cached(serve, f"unix://{tmp_path}/none.sock", index, embedder)
    engine = ScriptedEngine(saying("So."))
    async with away.serve(engine) as serving:
        for _ in range(2):
            assert text_of(await ask(serving)) == "So."
        assert (serving.metrics.registry.get_sample_value(BYPASSES) or 0) >= 2
    await away.close()
    assert len(engine.requests) == 2


async def test_a_redis_that_stalls_costs_a_bounded_time_and_is_used_again_later(
    cached: Cached, cache_server: RedisServer
) -> None:
    cached.timeout_s = 0.5
    engine = ScriptedEngine(saying("So."))
    assert cache_server.pid
    async with cached.serve(engine) as serving:
        os.kill(cache_server.pid, signal.SIGSTOP)
        try:
            # It never answers: whoever waited for it would wait for good.
            for _ in range(3):
                assert text_of(await ask(serving)) == "So."
        finally:
            os.kill(cache_server.pid, signal.SIGCONT)
        assert len(engine.requests) == 3
        # What one look-up and two writes each would have asked of it, at most.
        assert 3 <= (serving.metrics.registry.get_sample_value(BYPASSES) or 0) <= 6

        async def is_used() -> bool:
            cached.seconds += LEFT_ALONE_S
            return outcome(await ask(serving)) == CACHE_OUTCOME_EXACT

        await until(is_used, "it is used again")


async def test_look_ups_are_counted_by_what_was_found(cached: Cached) -> None:
    async with cached.serve(ScriptedEngine(saying("So."))) as serving:
        await asyncio.gather(ask(serving), ask(serving))
        await ask(serving)
        counts = serving.metrics.caches.answers.of("alice")
        assert (counts.misses, counts.hits + counts.shared) == (1, 2)
        assert serving.metrics.caches.answers.of("bob").misses == 0
        tokens = serving.metrics.registry.get_sample_value(
            "groundwire_generation_completion_tokens_total", {"model": "scripted"}
        )
        # What was found has cost the model nothing.
        assert tokens == 1
