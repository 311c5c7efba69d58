"""What a reader is given of what an engine says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from groundwire_server.engines.engine import FinishReason, TextPiece, TokenLogprob
from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    JoinedChunk,
    Passage,
    TextDelta,
)
from groundwire_server.grounding.transcript import GroundedTranscript, Transcript

PASSAGES = (
    Passage(1, "c-mirror", "d", "", "The main mirror is 2.4 metres wide.", 1.0, 0.8),
    Passage(2, "c-price", "d", "", "Tickets cost 12 euros for adults.", 1.0, 0.5),
)

# Of as many words as are needed for full confidence.
MIRROR = "As we all know by now, the main mirror is 2.4 metres wide [1]."


def play(
    transcript: Transcript,
    pieces: Iterable[str],
    reason: FinishReason = FinishReason.STOP,
) -> list[AnswerEvent]:
    events = [event for text in pieces for event in transcript.add(TextPiece(text, 1))]
    return [*events, *transcript.end(reason)]


def text_of(events: Iterable[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def finished(events: list[AnswerEvent]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished)
    return last


def test_without_sources_text_passes_untouched() -> None:
    events = play(Transcript(), ["a[1", "] ", "b"])
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a[1", "] ", "b"]
    assert finished(events) == Finished(FinishReason.STOP)


def test_a_citation_follows_the_text_it_is_about() -> None:
    events = play(
        GroundedTranscript(PASSAGES), ["The mirror is 2.4", " metres wide", " [1]", ". Bye."]
    )
    sent = ""
    for event in events:
        if isinstance(event, TextDelta):
            sent += event.text
        if isinstance(event, CitationAdded):
            assert sent[event.answer_start : event.answer_end] == "The mirror is 2.4 metres wide"
            source = PASSAGES[event.source - 1].text
            assert source[event.source_start : event.source_end] == source
    assert sum(isinstance(event, CitationAdded) for event in events) == 1
    assert sent == "The mirror is 2.4 metres wide [1]. Bye."


def test_tokens_of_text_that_is_held_back_are_counted_with_what_follows() -> None:
    events = play(GroundedTranscript(PASSAGES), ["Yes", " [", "x", "]"])
    deltas = [event for event in events if isinstance(event, TextDelta)]
    assert [(delta.text, delta.token_count) for delta in deltas] == [
        ("Yes", 1),
        (" [x", 2),
        ("]", 1),
    ]


def test_log_probabilities_are_never_lost() -> None:
    transcript = GroundedTranscript(PASSAGES)
    logprobs = [TokenLogprob(text, -0.5) for text in (" [", "9", "]")]
    events = [
        event
        for one in logprobs
        for event in transcript.add(TextPiece(one.token, 1, logprobs=(one,)))
    ]
    events += transcript.end(FinishReason.STOP)
    deltas = [event for event in events if isinstance(event, TextDelta)]
    assert [one for delta in deltas for one in delta.logprobs] == logprobs
    assert text_of(events) == ""


def test_dropped_citations_are_counted() -> None:
    events = play(GroundedTranscript(PASSAGES), ["It is 9 metres wide [1]. So [2]. Oh [7]."])
    assert finished(events).dropped_citations == 3
    assert finished(events).confidence == 0.0
    assert text_of(events) == "It is 9 metres wide. So. Oh."


def test_the_chunks_that_were_cited_are_known_in_order() -> None:
    transcript = GroundedTranscript(PASSAGES)
    play(transcript, ["Tickets cost 12 euros [2]. The mirror is 2.4 metres wide [1][2]."])
    assert transcript.cited_chunk_ids == ("c-price", "c-mirror")


def test_of_a_joined_passage_only_the_chunks_that_were_cited_are_named() -> None:
    texts = [passage.text for passage in PASSAGES]
    joined = replace(
        PASSAGES[0],
        text=" ".join(texts),
        joined=(JoinedChunk("c-price", len(texts[0]) + 1),),
    )
    transcript = GroundedTranscript([joined])
    play(transcript, ["Tickets cost 12 euros [1]."])
    assert transcript.cited_chunk_ids == ("c-price",)


class TestRequireSources:
    def test_nothing_is_given_until_a_citation_holds_and_then_everything(self) -> None:
        transcript = GroundedTranscript(PASSAGES, require_sources=True)
        assert list(transcript.add(TextPiece("The mirror is 2.4 metres wide", 6))) == []
        events = list(transcript.add(TextPiece(" [1].", 2)))
        assert isinstance(events[0], TextDelta)
        assert events[0].text == "The mirror is 2.4 metres wide [1]."
        assert events[0].token_count == 8
        assert isinstance(events[1], CitationAdded)
        assert text_of(transcript.add(TextPiece(" More", 1))) == " More"

    @pytest.mark.parametrize("reason", [FinishReason.STOP, FinishReason.LENGTH])
    def test_an_answer_that_nothing_supports_has_no_text(self, reason: FinishReason) -> None:
        transcript = GroundedTranscript(PASSAGES, require_sources=True)
        events = play(transcript, ["The mirror is 9 metres wide", " [1]."], reason)
        assert [type(event) for event in events] == [Finished]
        assert finished(events).finish_reason is FinishReason.NO_SOURCES
        assert transcript.text == ""


def test_an_answer_without_passages_has_no_sources() -> None:
    events = play(GroundedTranscript(()), ["The documents do not say."])
    assert finished(events).finish_reason is FinishReason.NO_SOURCES
    assert text_of(events) == "The documents do not say."


class TestConfidence:
    @staticmethod
    def of(*pieces: str) -> float:
        value = finished(play(GroundedTranscript(PASSAGES), pieces)).confidence
        assert value is not None
        assert 0.0 <= value <= 1.0
        return value

    def test_a_fully_supported_answer_is_worth_its_best_passage(self) -> None:
        assert self.of(MIRROR) == pytest.approx(0.7 + 0.25 * 0.8)

    def test_a_sentence_without_support_costs_its_share(self) -> None:
        half = self.of(f"{MIRROR} It was made in Jena.")
        assert half == pytest.approx((0.7 + 0.25 * 0.8) / 2)

    def test_a_dropped_citation_costs_more_than_none(self) -> None:
        tried = self.of(f"{MIRROR} It was made in Jena [2].")
        assert tried == pytest.approx((0.7 + 0.25 * 0.8) / 4)

    def test_a_very_short_answer_is_worth_less(self) -> None:
        assert self.of("12 euros [2].") == pytest.approx((0.7 + 0.25 * 0.5) * 2 / 12)

    def test_nothing_said_is_worth_nothing(self) -> None:
        assert self.of() == 0.0
