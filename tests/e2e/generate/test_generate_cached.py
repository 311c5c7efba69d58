"""An answer that was made before is given again, to whom it is right for and to nobody else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from groundwire import where
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire.v1.generation_pb2 import (
    CACHE_OUTCOME_EXACT,
    CACHE_OUTCOME_SEMANTIC,
    CACHE_OUTCOME_UNSPECIFIED,
    CACHE_POLICY_EXACT,
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
from groundwire_index.records import CollectionSpec, Metric, Record
from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.engines.engine import FinishReason
from groundwire_server.engines.extractive import ExtractiveEngine

from tests.e2e.generate.caching import ASK, Cached, ask, asking, changed, outcome
from tests.e2e.generate.serving import ALICE, BOB, kinds, text_of
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

OPENS = "When does the dome open?"


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
    "filter": Grounding(filter=where("shelf").gte(0)),
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
