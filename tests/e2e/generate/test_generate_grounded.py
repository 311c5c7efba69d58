"""Grounded answers: passages found, numbered and sent, and citations that hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest, GenerateResponse
from groundwire.v1.generation_pb2 import (
    FINISH_REASON_NO_SOURCES,
    FINISH_REASON_STOP,
    ROLE_ASSISTANT,
    ROLE_USER,
    STORE_OUTCOME_STORED,
    STORE_OUTCOME_UNSPECIFIED,
    Chat,
    Grounding,
    Message,
)
from groundwire.v1.retrieve_service_pb2 import (
    SEARCH_MODE_DENSE,
    SEARCH_MODE_HYBRID,
    SEARCH_MODE_LEXICAL,
    SearchMode,
)
from groundwire_index import Index
from groundwire_index.records import ChunkPosition, CollectionSpec, Metric, Record
from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.engines.engine import Role
from groundwire_server.engines.extractive import ExtractiveEngine
from groundwire_server.memory.redis_sessions import RedisSessions

from tests.e2e.generate.conftest import NOTES
from tests.e2e.generate.serving import ALICE, BOB, Serve, Serving, details_of, kinds, text_of
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying

pytestmark = pytest.mark.usefixtures("library")

MIRROR = "How wide is the main mirror?"


def about(question: str, *, session_id: str = "", **grounding: Any) -> GenerateRequest:
    return GenerateRequest(
        prompt=question,
        grounding=Grounding(**{"collection": "notes", **grounding}),
        session_id=session_id,
    )


async def ask(serving: Serving, request: GenerateRequest) -> list[GenerateResponse]:
    return [event async for event in serving.stub.Generate(request, metadata=ALICE)]


async def refused(serving: Serving, request: GenerateRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await serving.stub.Generate(request, metadata=ALICE).read()
    return caught.value


@pytest.mark.parametrize("mode", [SEARCH_MODE_DENSE, SEARCH_MODE_LEXICAL, SEARCH_MODE_HYBRID])
async def test_sources_come_before_the_text_and_citations_point_into_both(
    serve: Serve, mode: SearchMode
) -> None:
    engine = ScriptedEngine(saying("It is 2.4", " metres wide", " [1].", " It is pink [1]."))
    async with serve(engine) as serving:
        events = await ask(serving, about(MIRROR, mode=mode, top_k=1))
    assert kinds(events)[:2] == ["started", "sources"]
    (passage,) = events[1].sources.passages
    assert (passage.number, passage.chunk_id, passage.title) == (1, "mirror", "About mirror")
    assert passage.text == NOTES["mirror"]
    assert passage.score > 0
    answer = text_of(events)
    assert answer == "It is 2.4 metres wide [1]. It is pink."
    (citation,) = [event.citation for event in events if event.HasField("citation")]
    assert citation.source == 1
    assert answer[citation.answer_start : citation.answer_end] == "It is 2.4 metres wide"
    assert (
        passage.text[citation.source_start : citation.source_end]
        == "The main mirror is 2.4 metres wide."
    )
    finished = events[-1].finished
    assert finished.finish_reason == FINISH_REASON_STOP
    assert finished.dropped_citations == 1
    assert 0 < finished.confidence < 0.6
    assert finished.timings.HasField("retrieve")
    assert finished.timings.HasField("embed") == (mode != SEARCH_MODE_LEXICAL)


async def test_an_answer_is_measured_from_its_question_to_its_citations(serve: Serve) -> None:
    engine = ScriptedEngine(saying("It is 2.4 metres wide [1].", " It is pink [1]."))
    async with serve(engine) as serving:
        await ask(serving, about(MIRROR, mode=SEARCH_MODE_DENSE, top_k=1))

        def value(name: str, **labels: str) -> float | None:
            name, labels = f"groundwire_generation{name}", {"model": "scripted", **labels}
            return serving.metrics.registry.get_sample_value(name, labels)

        assert value("s_total", code="OK") == 1
        assert value("_citations_total", verdict="kept") == 1
        assert value("_citations_total", verdict="dropped") == 1
        assert value("_completion_tokens_total") == 10
        for phase in ("queue", "embed", "retrieve", "prefill", "decode"):
            assert value("_phase_seconds_count", phase=phase) == 1


async def test_the_model_reads_numbered_passages_and_the_question(serve: Serve) -> None:
    engine = ScriptedEngine(saying("So."))
    async with serve(engine) as serving:
        await ask(serving, about(MIRROR, top_k=2))
    (request,) = engine.requests
    assert [message.role for message in request.messages] == [Role.SYSTEM, Role.USER]
    prompt = request.messages[-1].content
    assert f"[1] About mirror\n{NOTES['mirror']}" in prompt
    assert "[2] " in prompt
    assert f"Question: {MIRROR}" in prompt
    assert request.grounded is not None
    assert request.grounded.question == MIRROR
    assert request.grounded.passages[0].text == NOTES["mirror"]


async def test_a_follow_up_finds_what_the_turn_before_was_about(serve: Serve) -> None:
    engine = ScriptedEngine(saying("So."))
    chat = Chat(
        messages=[
            Message(role=ROLE_USER, content=MIRROR),
            Message(role=ROLE_ASSISTANT, content="It is 2.4 metres wide [1]."),
            Message(role=ROLE_USER, content="And who cast it?"),
        ]
    )
    request = GenerateRequest(chat=chat, grounding=Grounding(collection="notes", top_k=1))
    async with serve(engine) as serving:
        events = await ask(serving, request)
    assert [passage.chunk_id for passage in events[1].sources.passages] == ["mirror"]


async def test_a_query_of_its_own_is_searched_for(serve: Serve) -> None:
    engine = ScriptedEngine(saying("So."))
    async with serve(engine) as serving:
        events = await ask(serving, about(MIRROR, query="soup in the evening", top_k=1))
    assert [passage.chunk_id for passage in events[1].sources.passages] == ["cafe"]


async def test_a_filter_and_a_lowest_score_bound_the_sources(serve: Serve) -> None:
    engine = ScriptedEngine(saying("So."))
    filtered = about(MIRROR)
    filtered.grounding.filter.condition.field = "title"
    filtered.grounding.filter.condition.eq.string_value = "About cafe"
    async with serve(engine) as serving:
        by_filter = await ask(serving, filtered)
        by_score = await ask(serving, about(MIRROR, mode=SEARCH_MODE_DENSE, min_score=0.5))
    assert [passage.chunk_id for passage in by_filter[1].sources.passages] == ["cafe"]
    assert [passage.chunk_id for passage in by_score[1].sources.passages] == ["mirror"]


async def test_passages_that_do_not_fit_are_told(serve: Serve) -> None:
    engine = ScriptedEngine(saying("The mirror is 2.4 metres wide [1]."))
    async with serve(engine, passage_tokens=55) as serving:
        events = await ask(serving, about(MIRROR, top_k=5))
    sent = events[1].sources.passages
    assert [passage.number for passage in sent] == [1, 2]
    assert events[-1].finished.degraded
    assert events[-1].finished.degraded_reason == "3 of 5 passages did not fit the prompt"


async def test_a_context_too_small_for_any_passage_is_told_with_the_limit(serve: Serve) -> None:
    engine = ScriptedEngine(saying("So."), context_length=130)
    async with serve(engine) as serving:
        error = await refused(serving, about(MIRROR))
    assert error.code() == grpc.StatusCode.OUT_OF_RANGE
    info: Any = details_of(error)["ErrorInfo"]
    assert info.metadata["context_length"] == "130"
    assert not engine.requests


class TestNoSources:
    async def test_the_model_is_told_and_the_answer_says_so(
        self, serve: Serve, index: Index, embedder: Embedder
    ) -> None:
        _create_empty(index, embedder)
        engine = ScriptedEngine(saying("The documents do not say."))
        async with serve(engine) as serving:
            events = await ask(serving, about(MIRROR, collection="empty"))
        assert kinds(events)[:2] == ["started", "sources"]
        assert not events[1].sources.passages
        assert text_of(events) == "The documents do not say."
        assert events[-1].finished.finish_reason == FINISH_REASON_NO_SOURCES
        assert events[-1].finished.confidence == 0
        assert "there are none" in engine.requests[0].messages[0].content

    async def test_with_require_sources_the_model_is_not_even_asked(
        self,
        serve: Serve,
        index: Index,
        embedder: Embedder,
        sessions: RedisSessions,
        session_id: str,
    ) -> None:
        _create_empty(index, embedder)
        await sessions.create("alice", "al", session_id=session_id)
        engine = ScriptedEngine(saying("The documents do not say."))
        request = about(MIRROR, collection="empty", require_sources=True, session_id=session_id)
        async with serve(engine) as serving:
            events = await ask(serving, request)
        assert kinds(events) == ["started", "sources", "finished"]
        assert events[-1].finished.finish_reason == FINISH_REASON_NO_SOURCES
        assert events[-1].finished.stored == STORE_OUTCOME_UNSPECIFIED
        assert not engine.requests

    async def test_with_require_sources_an_unsupported_answer_is_withheld(
        self, serve: Serve
    ) -> None:
        engine = ScriptedEngine(saying("The mirror", " is made of cheese", " [1]."))
        async with serve(engine) as serving:
            events = await ask(serving, about(MIRROR, require_sources=True))
        assert kinds(events) == ["started", "sources", "finished"]
        assert events[-1].finished.finish_reason == FINISH_REASON_NO_SOURCES
        assert events[-1].finished.dropped_citations == 1

    async def test_with_require_sources_a_supported_answer_is_whole(self, serve: Serve) -> None:
        engine = ScriptedEngine(saying("The mirror is", " 2.4 metres wide", " [1].", " Yes."))
        async with serve(engine) as serving:
            events = await ask(serving, about(MIRROR, require_sources=True))
        assert text_of(events) == "The mirror is 2.4 metres wide [1]. Yes."
        assert events[-1].finished.finish_reason == FINISH_REASON_STOP


class TestRefusals:
    async def test_an_unknown_collection_and_another_tenants(self, serve: Serve) -> None:
        engine = ScriptedEngine(saying("So."))
        async with serve(engine) as serving:
            error = await refused(serving, about(MIRROR, collection="nothing"))
            assert error.code() == grpc.StatusCode.NOT_FOUND
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await serving.stub.Generate(about(MIRROR), metadata=BOB).read()
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        assert not engine.requests

    async def test_a_collection_without_an_embedder_is_searched_by_words_only(
        self, serve: Serve
    ) -> None:
        engine = ScriptedEngine(saying("So."))
        async with serve(engine) as serving:
            error = await refused(serving, about(MIRROR, collection="bare"))
            events = await ask(serving, about(MIRROR, collection="bare", mode=SEARCH_MODE_LEXICAL))
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "SEARCH_MODE_LEXICAL" in (error.details() or "")
        assert [passage.chunk_id for passage in events[1].sources.passages] == ["mirror"]

    async def test_vectors_of_another_model(
        self, serve: Serve, index: Index, embedder: Embedder
    ) -> None:
        other = replace(embedder.fingerprint, model="other-model")
        index.create_collection(
            "alice", CollectionSpec("foreign", Metric.COSINE, other.dimension, other)
        )
        async with serve(ScriptedEngine(saying("So."))) as serving:
            error = await refused(serving, about(MIRROR, collection="foreign"))
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "other-model" in (error.details() or "")


class TestExtractive:
    """The engine without a model, over the real index and embedder."""

    async def test_it_answers_with_a_sentence_of_the_sources(
        self, serve: Serve, embedder: Embedder
    ) -> None:
        async with serve(ExtractiveEngine(embedder)) as serving:
            events = await ask(serving, about(MIRROR))
        answer = text_of(events)
        assert "The main mirror is 2.4 metres wide." in answer
        passages = {passage.number: passage for passage in events[1].sources.passages}
        citations = [event.citation for event in events if event.HasField("citation")]
        assert citations
        for citation in citations:
            claim = answer[citation.answer_start : citation.answer_end]
            source = passages[citation.source].text
            assert claim.rstrip(".") in source[citation.source_start : citation.source_end]
        assert events[-1].finished.dropped_citations == 0
        assert events[-1].finished.confidence > 0.5

    async def test_what_the_sources_do_not_hold_it_does_not_answer(
        self, serve: Serve, embedder: Embedder
    ) -> None:
        question = "Who won the football world cup in 1990?"
        async with serve(ExtractiveEngine(embedder)) as serving:
            events = await ask(serving, about(question))
            silent = await ask(serving, about(question, require_sources=True))
        assert events[-1].finished.finish_reason == FINISH_REASON_NO_SOURCES
        assert text_of(events)
        assert silent[-1].finished.finish_reason == FINISH_REASON_NO_SOURCES
        assert not text_of(silent)

    async def test_without_grounding_it_says_what_to_configure(
        self, serve: Serve, embedder: Embedder
    ) -> None:
        async with serve(ExtractiveEngine(embedder)) as serving:
            error = await refused(serving, GenerateRequest(prompt="Why?"))
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "grounding" in (error.details() or "")

    async def test_a_session_keeps_what_was_cited_and_a_follow_up_works(
        self, serve: Serve, embedder: Embedder, sessions: RedisSessions, session_id: str
    ) -> None:
        await sessions.create("alice", "al", session_id=session_id)
        async with serve(ExtractiveEngine(embedder)) as serving:
            first = await serving.stub.Complete(
                CompleteRequest(request=about(MIRROR, session_id=session_id)), metadata=ALICE
            )
            second = await serving.stub.Complete(
                CompleteRequest(request=about("And who cast it?", session_id=session_id)),
                metadata=ALICE,
            )
        assert first.finished.stored == second.finished.stored == STORE_OUTCOME_STORED
        assert "Hartmann" in second.text
        turns = (await sessions.turns("alice", session_id, after=0, limit=10)).turns
        assert [turn.content for turn in turns[::2]] == [MIRROR, "And who cast it?"]
        assert [turn.source_ids for turn in turns[1::2]] == [("mirror",), ("mirror",)]


def _create_empty(index: Index, embedder: Embedder) -> None:
    fingerprint = embedder.fingerprint
    index.create_collection(
        "alice", CollectionSpec("empty", Metric.COSINE, fingerprint.dimension, fingerprint)
    )


async def test_neighbours_are_one_source_and_what_is_said_twice_is_none(
    serve: Serve, library: Index, embedder: Embedder
) -> None:
    texts = {
        "guide#0": "The main mirror is 2.4 metres wide. It was cast in 1931.",
        "guide#1": "It was cast in 1931. The main mirror weighs two tonnes.",
        "twin#0": "THE MAIN MIRROR is 2.4 metres wide; it was cast in 1931!",
    }
    positions = [ChunkPosition(0, 0, 56, 3), ChunkPosition(1, 36, 92, 4), ChunkPosition(0, 0, 56)]
    vectors = (await embedder.embed(list(texts.values()), EmbedKind.PASSAGE)).vectors
    vectors[2] = vectors[0]
    spec = CollectionSpec(
        "guides", Metric.COSINE, embedder.fingerprint.dimension, embedder.fingerprint
    )
    library.create_collection("alice", spec)
    library.collection("alice", "guides").upsert(
        [
            Record(name, vector, text, document_id=name.partition("#")[0], position=position)
            for (name, text), vector, position in zip(
                texts.items(), vectors, positions, strict=True
            )
        ]
    )
    engine = ScriptedEngine(saying("It is 2.4 metres wide [1]. The mirror weighs two tonnes [1]."))
    async with serve(engine) as serving:
        events = await ask(serving, about(MIRROR, collection="guides", mode=SEARCH_MODE_DENSE))
    (passage,) = events[1].sources.passages
    assert passage.text == f"{texts['guide#0']} The main mirror weighs two tonnes."
    assert list(passage.chunk_ids) == ["guide#0", "guide#1"]
    assert (passage.chunk_id, passage.page) == ("guide#0", 3)
    assert list(passage.duplicate_chunk_ids) == ["twin#0"]
    quotes = [
        passage.text[event.citation.source_start : event.citation.source_end]
        for event in events
        if event.HasField("citation")
    ]
    assert quotes == [
        "The main mirror is 2.4 metres wide.",
        "The main mirror weighs two tonnes.",
    ]
    assert not events[-1].finished.degraded
