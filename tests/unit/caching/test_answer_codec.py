"""Answers as they are kept."""

from __future__ import annotations

import pytest
from groundwire_index.records import ChunkPosition
from groundwire_server.caching.answer_codec import MAX_BYTES, decoded, encoded
from groundwire_server.engines.engine import FinishReason, Usage
from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    JoinedChunk,
    Passage,
    ReasoningDelta,
    Sources,
    Started,
    TextDelta,
    Timings,
    ToolCallDelta,
)

PASSAGE = Passage(
    number=1,
    chunk_id="guide#0",
    document_id="guide",
    title="Guide",
    text="The dome opens at dusk. Über Jena.",
    score=0.1 + 0.2,
    relevance=0.5,
    page=3,
    headings=("Hours", "Dome"),
    position=ChunkPosition(0, 0, 34, 3, 4, ("Hours", "Dome"), 9),
    joined=(JoinedChunk("guide#1", 24, ("Hours",)),),
    duplicate_ids=("copy#0",),
)
ANSWER: list[AnswerEvent] = [
    Started("", "large", "vllm"),
    Sources((PASSAGE,)),
    ReasoningDelta("Hm."),
    TextDelta("At dusk", 2),
    CitationAdded(1, 0, 7, 15, 22),
    TextDelta(".", 1, choice=1),
    ToolCallDelta(0, "call-1", "search", '{"q": 1}'),
    Finished(FinishReason.LENGTH, choice=1),
    Finished(FinishReason.STOP, Usage(7, 3, 3), confidence=0.75, dropped_citations=2),
]


def test_an_answer_comes_back_as_it_was() -> None:
    data = encoded(ANSWER)
    assert decoded(data) == ANSWER


def test_it_is_nobodys_and_took_no_time() -> None:
    data = encoded(
        [Started("mine", "m", "e"), Finished(FinishReason.STOP, timings=Timings(decode_s=1.0))]
    )
    assert decoded(data) == [Started("", "m", "e"), Finished(FinishReason.STOP)]


def test_pieces_that_follow_one_another_come_as_one_and_choices_stay_apart() -> None:
    data = encoded(
        [
            TextDelta("a", 1),
            TextDelta("b", 2),
            TextDelta("c", 1, choice=1),
            ToolCallDelta(0, "id", "f", "{"),
            ToolCallDelta(0, "", "", "}"),
            ToolCallDelta(1, "other", "f", "{}"),
        ]
    )
    assert decoded(data) == [
        TextDelta("ab", 3),
        TextDelta("c", 1, choice=1),
        ToolCallDelta(0, "id", "f", "{}"),
        ToolCallDelta(1, "other", "f", "{}"),
    ]


def test_what_is_too_long_is_not_kept() -> None:
    assert encoded([TextDelta("a" * MAX_BYTES, 1)]) is None


@pytest.mark.parametrize(
    "data", [None, b"", b"nonsense", b"{}", b"[[1,2]]", b'[["Started",{"model":1}]]', b'[["X",{}]]']
)
def test_what_someone_else_has_put_there_is_no_answer(data: bytes | None) -> None:
    assert decoded(data) == []
