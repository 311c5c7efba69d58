"""An answer that was made before is given again, to whom it is right for and to nobody else."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire.v1.generation_pb2 import (
    CACHE_OUTCOME_EXACT,
    CACHE_OUTCOME_SEMANTIC,
    CACHE_OUTCOME_UNSPECIFIED,
    CACHE_POLICY_EXACT,
    CACHE_POLICY_OFF,
    CACHE_POLICY_SEMANTIC,
    ROLE_SYSTEM,
    ROLE_USER,
    Chat,
    Choice,
    Constraint,
    Grounding,
    Message,
    SamplingParameters,
)
from groundwire.v1.retrieve_service_pb2 import SEARCH_MODE_LEXICAL
from groundwire_index import Index
from groundwire_index.errors import UnavailableError
from groundwire_index.records import CollectionSpec, Metric, Record
from groundwire_server.caching.redis_cache import LEFT_ALONE_S
from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.engines.engine import FinishReason
from groundwire_server.engines.extractive import ExtractiveEngine
from groundwire_server.engines.models import Models, RouteSpec
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.request import CachePolicy
from groundwire_server.memory.redis_server import RedisServer

from tests.e2e.generate.caching import ASK, Cached, ask, asking, changed, outcome
from tests.e2e.generate.serving import ALICE, BOB, Serve, details_of, kinds, text_of
from tests.unit.grounding.scripted_engine import ScriptedEngine, Step, saying

OPENS = "When does the dome open?"
BYPASSES = "groundwire_cache_bypasses_total"


async def test_an_equal_request_streams_the_same_answer_without_the_model(cached: Cached) -> None:
    engine = ScriptedEngine(saying("At", " dusk.", reason=FinishReason.LENGTH))
    async with cached.serve(engine) as serving:
        first = await ask(serving, changed(ASK, request_id="one"))
        again = await ask(serving, changed(ASK, request_id="two", priority=5))

    assert len(engine.requests) == 1
    assert outcome(first) == CACHE_OUTCOME_UNSPECIFIED
    assert kinds(again) == ["started", "text_delta", "finished"]
    started, finished = again[0].started, again[-1].finished
    assert (started.request_id, started.model) == ("two", "scripted")
    assert text_of(again) == text_of(first) == "At dusk."
    assert again[1].text_delta.token_count == 2
    assert finished.cache == CACHE_OUTCOME_EXACT
    assert finished.finish_reason == first[-1].finished.finish_reason
    assert finished.usage == first[-1].finished.usage
    assert not finished.HasField("timings") or not finished.timings.ListFields()


async def test_a_whole_answer_is_found_too_and_says_so(cached: Cached) -> None:
    async with cached.serve(ScriptedEngine(saying("At dusk."))) as serving:
        await ask(serving)
        answer = await serving.stub.Complete(CompleteRequest(request=ASK), metadata=ALICE)

    assert (answer.text, answer.finished.cache) == ("At dusk.", CACHE_OUTCOME_EXACT)


async def test_a_grounded_answer_is_given_again_with_its_sources_and_citations(
    cached: Cached, library: Index, embedder: Embedder
) -> None:
    grounded = asking(OPENS, cache=CACHE_POLICY_EXACT, grounding=Grounding(collection="notes"))
    async with cached.serve(ExtractiveEngine(embedder)) as serving:
        first = await ask(serving, grounded)
        again = await ask(serving, grounded)

    assert outcome(again) == CACHE_OUTCOME_EXACT
    assert text_of(again) == text_of(first)
    assert [e.sources for e in again if e.HasField("sources")] == [first[1].sources]
    citations = [e.citation for e in first if e.HasField("citation")]
    assert citations
    assert [e.citation for e in again if e.HasField("citation")] == citations
    assert again[-1].finished.confidence == first[-1].finished.confidence


async def test_a_write_to_the_collection_makes_its_answers_anew(
    cached: Cached, library: Index, embedder: Embedder
) -> None:
    grounded = asking(OPENS, cache=CACHE_POLICY_EXACT, grounding=Grounding(collection="notes"))
    async with cached.serve(ExtractiveEngine(embedder)) as serving:
        before = await ask(serving, grounded)
        text = "The dome opens at noon on clear days."
        vector = (await embedder.embed([text], EmbedKind.PASSAGE)).vectors[0]
        library.collection("alice", "notes").upsert([Record("hours", vector, text)])
        after = await ask(serving, grounded)

    assert "dusk" in text_of(before)
    assert "noon" in text_of(after)


async def test_a_collection_that_was_made_again_is_another(cached: Cached, library: Index) -> None:
    grounded = changed(ASK, grounding=Grounding(collection="bare", mode=SEARCH_MODE_LEXICAL))
    engine = ScriptedEngine(saying("Yes."))
    async with cached.serve(engine) as serving:
        await ask(serving, grounded)
        library.delete_collection("alice", "bare")
        library.create_collection("alice", CollectionSpec("bare", Metric.COSINE, 3))
        library.collection("alice", "bare").upsert([Record("other", text="Something else.")])
        await ask(serving, grounded)

    assert len(engine.requests) == 2


async def test_writes_after_a_snapshot_was_restored_are_not_those_that_were_counted_alike(
    cached: Cached, library: Index
) -> None:
    grounded = changed(ASK, grounding=Grounding(collection="bare", mode=SEARCH_MODE_LEXICAL))
    engine = ScriptedEngine(saying("Yes."))
    async with cached.serve(engine) as serving:
        bare = library.collection("alice", "bare")
        taken = library.snapshots.take("alice", "bare")
        bare.upsert([Record("one", text="Why not?")])
        first, sequence = await ask(serving, grounded), bare.count().sequence
        library.snapshots.restore("alice", taken.id, replacing=True)
        bare = library.collection("alice", "bare")
        bare.upsert([Record("other", text="Why so?")])
        assert bare.count().sequence == sequence
        second = await ask(serving, grounded)

    assert outcome(second) == CACHE_OUTCOME_UNSPECIFIED
    assert [p.chunk_id for p in first[1].sources.passages] == ["one"]
    assert [p.chunk_id for p in second[1].sources.passages] == ["other"]


OTHERS = {
    "prompt": GenerateRequest(prompt="Why? "),
    "system message": GenerateRequest(
        chat=Chat(
            messages=[
                Message(role=ROLE_SYSTEM, content="Be brief."),
                Message(role=ROLE_USER, content="Why?"),
            ]
        )
    ),
    "temperature": GenerateRequest(sampling=SamplingParameters(temperature=0.5)),
    "seed": GenerateRequest(sampling=SamplingParameters(seed=2)),
    "max_tokens": GenerateRequest(sampling=SamplingParameters(max_tokens=9)),
    "stop": GenerateRequest(sampling=SamplingParameters(stop=["."])),
    "constraint": GenerateRequest(constraint=Constraint(choice=Choice(options=["Yes."]))),
    "model": GenerateRequest(model="other"),
    "sources": GenerateRequest(grounding=Grounding(collection="bare", mode=SEARCH_MODE_LEXICAL)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
async def test_a_request_that_differs_is_answered_by_the_model(
    cached: Cached, library: Index, other: GenerateRequest
) -> None:
    engines = [ScriptedEngine(saying("Yes.")), ScriptedEngine(saying("Yes."), model="other")]
    async with cached.serve(*engines) as serving:
        await ask(serving)
        events = await ask(serving, changed(ASK, **dict(_fields(other))))

    assert outcome(events) == CACHE_OUTCOME_UNSPECIFIED
    assert sum(len(engine.requests) for engine in engines) == 2


def _fields(message: GenerateRequest) -> Sequence[tuple[str, object]]:
    return [(field.name, value) for field, value in message.ListFields()]


SOURCES = Grounding(collection="bare", mode=SEARCH_MODE_LEXICAL)
OTHER_SOURCES = {
    "top_k": Grounding(top_k=1),
    "min_score": Grounding(min_score=0.01),
    "query": Grounding(query="mirror"),
    "require_sources": Grounding(require_sources=True),
}


@pytest.mark.parametrize("other", OTHER_SOURCES.values(), ids=OTHER_SOURCES.keys())
async def test_an_answer_from_other_sources_is_another(
    cached: Cached, library: Index, other: Grounding
) -> None:
    request = asking("How wide is the mirror?", cache=CACHE_POLICY_EXACT, grounding=SOURCES)
    async with cached.serve(ScriptedEngine(saying("Yes."))) as serving:
        await ask(serving, request)
        again = await ask(serving, request)
        events = await ask(serving, changed(request, grounding=other))

    assert [outcome(again), outcome(events)] == [CACHE_OUTCOME_EXACT, CACHE_OUTCOME_UNSPECIFIED]


async def test_no_tenant_is_given_the_answer_of_another(cached: Cached) -> None:
    engine = ScriptedEngine(saying("Yes."))
    semantic = asking(OPENS, cache=CACHE_POLICY_SEMANTIC)
    async with cached.serve(engine) as serving:
        await ask(serving, semantic)
        theirs = await ask(serving, semantic, BOB)
        similar = asking("What time does the dome open?", cache=CACHE_POLICY_SEMANTIC)
        reworded = await ask(serving, similar, (("groundwire-tenant", "carol"),))

    assert outcome(theirs) == outcome(reworded) == CACHE_OUTCOME_UNSPECIFIED
    assert len(engine.requests) == 3


async def test_a_question_in_other_words_has_the_answer_and_one_that_looks_alike_has_not(
    cached: Cached,
) -> None:
    engine = ScriptedEngine(saying("At dusk."))
    async with cached.serve(engine) as serving:
        await ask(serving, asking(OPENS, cache=CACHE_POLICY_SEMANTIC))
        reworded = asking("What time does the dome open?", cache=CACHE_POLICY_SEMANTIC)
        alike = asking("When does the dome close?", cache=CACHE_POLICY_SEMANTIC)
        strict = asking("What time does the dome open?", cache=CACHE_POLICY_EXACT)
        outcomes = [outcome(await ask(serving, one)) for one in (reworded, alike, strict)]

    assert outcomes == [
        CACHE_OUTCOME_SEMANTIC,
        CACHE_OUTCOME_UNSPECIFIED,
        CACHE_OUTCOME_UNSPECIFIED,
    ]
    assert len(engine.requests) == 3


async def test_a_question_in_other_words_does_not_outlive_a_write(
    cached: Cached, library: Index, embedder: Embedder
) -> None:
    fields = {"cache": CACHE_POLICY_SEMANTIC, "grounding": Grounding(collection="notes")}
    reworded = asking("What time does the dome open?", **fields)
    async with cached.serve(ExtractiveEngine(embedder)) as serving:
        await ask(serving, asking(OPENS, **fields))
        before = await ask(serving, reworded)
        library.collection("alice", "notes").delete_ids(["cafe"])
        after = await ask(serving, reworded)

    assert [outcome(before), outcome(after)] == [
        CACHE_OUTCOME_SEMANTIC,
        CACHE_OUTCOME_UNSPECIFIED,
    ]


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
    cached.timeout_s = 0.05
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
        while outcome(await ask(serving)) != CACHE_OUTCOME_EXACT:
            cached.seconds += LEFT_ALONE_S


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
