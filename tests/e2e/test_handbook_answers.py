"""The sample handbook, asked: every answer is in the passage it cites, or there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, CompleteResponse, GenerateRequest
from groundwire.v1.generate_service_pb2_grpc import GenerateServiceStub
from groundwire.v1.generation_pb2 import (
    FINISH_REASON_NO_SOURCES,
    FINISH_REASON_STOP,
    STORE_OUTCOME_STORED,
    Grounding,
)
from groundwire.v1.memory_service_pb2 import CreateSessionRequest
from groundwire.v1.memory_service_pb2_grpc import MemoryServiceStub
from groundwire.v1.retrieve_service_pb2 import (
    CreateCollectionRequest,
    IngestDocumentRequest,
    IngestHeader,
)
from groundwire.v1.retrieve_service_pb2_grpc import RetrieveServiceStub

from tests.e2e.serving import ServerProcess

SAMPLES = Path(__file__).parents[2] / "samples"
QUESTIONS: list[dict[str, Any]] = [
    json.loads(line) for line in (SAMPLES / "questions.jsonl").read_text().splitlines() if line
]
ANSWERABLE = [question for question in QUESTIONS if question["answerable"]]
UNANSWERABLE = [question for question in QUESTIONS if not question["answerable"]]
FOLLOWED_UP = [question for question in QUESTIONS if "follow_up" in question]
COLLECTION = "handbook-answers"


@dataclass(frozen=True)
class Handbook:
    """A server that has read the handbook."""

    generate: GenerateServiceStub
    memory: MemoryServiceStub

    def ask(self, question: str, **fields: Any) -> CompleteResponse:
        grounding = Grounding(collection=COLLECTION, **fields.pop("grounding", {}))
        request = GenerateRequest(
            model="extractive", prompt=question, grounding=grounding, **fields
        )
        answer: CompleteResponse = self.generate.Complete(
            CompleteRequest(request=request), timeout=60
        )
        return answer


@pytest.fixture(scope="module")
def handbook(server: ServerProcess) -> Iterator[Handbook]:
    with grpc.insecure_channel(server.address) as channel:
        retrieve = RetrieveServiceStub(channel)
        retrieve.CreateCollection(CreateCollectionRequest(name=COLLECTION), timeout=60)
        for path in sorted((SAMPLES / "handbook").iterdir()):
            header = IngestHeader(collection=COLLECTION, filename=path.name)
            parts = [
                IngestDocumentRequest(header=header),
                IngestDocumentRequest(data=path.read_bytes()),
            ]
            list(retrieve.IngestDocument(iter(parts), timeout=120))
        yield Handbook(GenerateServiceStub(channel), MemoryServiceStub(channel))


def named(questions: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("asked", questions, ids=lambda asked: asked["question"])


def test_there_are_enough_questions_of_both_kinds() -> None:
    assert len(ANSWERABLE) >= 10
    assert UNANSWERABLE
    assert FOLLOWED_UP


@named(ANSWERABLE)
def test_an_answer_is_right_and_in_the_document_it_cites(
    handbook: Handbook, asked: dict[str, Any]
) -> None:
    answer = handbook.ask(asked["question"])
    assert answer.finished.finish_reason == FINISH_REASON_STOP
    assert_supported(answer, asked)


@named(UNANSWERABLE)
def test_what_the_handbook_does_not_say_is_not_answered(
    handbook: Handbook, asked: dict[str, Any]
) -> None:
    silent = handbook.ask(asked["question"], grounding={"require_sources": True})
    assert silent.finished.finish_reason == FINISH_REASON_NO_SOURCES
    assert silent.text == ""
    spoken = handbook.ask(asked["question"])
    assert spoken.finished.finish_reason == FINISH_REASON_NO_SOURCES
    assert spoken.text
    assert not spoken.citations
    assert spoken.finished.confidence == 0


@named(FOLLOWED_UP)
def test_a_follow_up_in_the_same_session_is_understood(
    handbook: Handbook, asked: dict[str, Any]
) -> None:
    session = handbook.memory.CreateSession(CreateSessionRequest(), timeout=60).session
    first = handbook.ask(asked["question"], session_id=session.id)
    second = handbook.ask(asked["follow_up"]["question"], session_id=session.id)
    assert first.finished.stored == second.finished.stored == STORE_OUTCOME_STORED
    assert_supported(second, asked["follow_up"])


def assert_supported(answer: CompleteResponse, asked: dict[str, Any]) -> None:
    """Every citation is a quotation, and one of them, of the right document, has the answer."""
    passages = {passage.number: passage for passage in answer.passages}
    assert answer.citations, answer.text
    evidence = []
    for citation in answer.citations:
        claim = answer.text[citation.answer_start : citation.answer_end]
        passage = passages[citation.source]
        quoted = passage.text[citation.source_start : citation.source_end]
        assert quoted
        assert plain(claim) in plain(quoted)
        evidence.append((passage.document_id, plain(quoted)))
    for expected in asked["expected"]:
        assert plain(expected) in plain(answer.text)
        assert any(
            document == asked["document"] and plain(expected) in quoted
            for document, quoted in evidence
        ), evidence
    assert answer.finished.dropped_citations == 0
    assert 0 < answer.finished.confidence <= 1


def plain(text: str) -> str:
    """Without case, and without what sets a quotation apart: line ends and a last full stop."""
    return " ".join(text.casefold().split()).rstrip(".")
