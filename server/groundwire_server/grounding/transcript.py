"""From what an engine says to what a reader sees: checked, held back where asked, counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundwire_server.engines.engine import (
    FinishReason,
    ReasoningPiece,
    TextPiece,
    TokenLogprob,
    ToolCallPiece,
)
from groundwire_server.grounding.citations import CitationParser, Parsed
from groundwire_server.grounding.confidence import confidence
from groundwire_server.grounding.events import (
    AnswerEvent,
    CitationAdded,
    Finished,
    Passage,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from groundwire_server.grounding.support import Evidence


class Transcript:
    """One choice of an answer without sources: text as it comes."""

    def __init__(self, choice: int = 0) -> None:
        self.choice = choice
        self.completion_tokens = 0
        self._text: list[str] = []
        self._unsent_tokens = 0
        self._unsent_logprobs: list[TokenLogprob] = []

    @property
    def text(self) -> str:
        """The answer as the reader has it."""
        return "".join(self._text)

    @property
    def cited_chunk_ids(self) -> tuple[str, ...]:
        """Chunks that the answer cites, in order of first citation."""
        return ()

    def add(self, piece: TextPiece) -> Iterator[AnswerEvent]:
        """Take the engine's next piece; give what the reader gets now."""
        self._count(piece)
        yield from self._deltas(piece.text)

    def add_aside(self, piece: ReasoningPiece | ToolCallPiece) -> Iterator[AnswerEvent]:
        """Take what is not part of the text."""
        self.completion_tokens += piece.token_count
        if isinstance(piece, ReasoningPiece):
            yield ReasoningDelta(piece.text, self.choice)
        else:
            yield ToolCallDelta(piece.index, piece.id, piece.name, piece.arguments, self.choice)

    def end(self, reason: FinishReason) -> Iterator[AnswerEvent]:
        """The engine is done: give what was still held back, and the end, without usage."""
        yield from self._deltas("", last=True)
        yield Finished(reason, choice=self.choice)

    def _count(self, piece: TextPiece) -> None:
        self.completion_tokens += piece.token_count
        self._unsent_tokens += piece.token_count
        self._unsent_logprobs += piece.logprobs

    def _deltas(self, text: str, *, last: bool = False) -> Iterator[TextDelta]:
        # Tokens without text, such as the first bytes of a character, go with the next text.
        if not text and not (last and self._unsent_logprobs):
            return
        self._text.append(text)
        yield TextDelta(text, self._unsent_tokens, self.choice, tuple(self._unsent_logprobs))
        self._unsent_tokens, self._unsent_logprobs = 0, []


class GroundedTranscript(Transcript):
    """One choice of a grounded answer: its citations are checked as they come.

    With ``require_sources`` nothing is given until the first citation holds; if none does,
    nothing ever is, and the reasoning before it is not given.
    """

    def __init__(
        self, passages: Sequence[Passage], *, require_sources: bool = False, choice: int = 0
    ) -> None:
        super().__init__(choice)
        self._passages = {passage.number: passage for passage in passages}
        self._parser = CitationParser(
            {passage.number: Evidence(passage.text, passage.context) for passage in passages}
        )
        self._withheld: list[str] | None = [] if require_sources else None

    @property
    def cited_chunk_ids(self) -> tuple[str, ...]:
        """Chunks that the answer cites, in order of first citation."""
        cited = dict.fromkeys(citation.source for citation in self._parser.citations)
        return tuple(chunk_id for number in cited for chunk_id in self._passages[number].chunk_ids)

    def add(self, piece: TextPiece) -> Iterator[AnswerEvent]:
        """Take the engine's next piece; give what the reader gets now."""
        self._count(piece)
        yield from self._events(self._parser.feed(piece.text))

    def add_aside(self, piece: ReasoningPiece | ToolCallPiece) -> Iterator[AnswerEvent]:
        """Take what is not part of the text, and has no citations that could be checked."""
        events = tuple(super().add_aside(piece))
        if self._withheld is None:
            yield from events

    def end(self, reason: FinishReason) -> Iterator[AnswerEvent]:
        """The engine is done: give what was still held back, and the end, without usage."""
        yield from self._events(self._parser.finish())
        if self._withheld is None:
            yield from self._deltas("", last=True)
        # Nothing was found to answer from, or nothing in the answer is supported.
        if self._withheld is not None or (not self._passages and reason is FinishReason.STOP):
            reason = FinishReason.NO_SOURCES
        yield Finished(
            reason,
            confidence=confidence(
                self._parser.text,
                self._parser.citations,
                tuple(self._passages.values()),
                self._parser.dropped,
            ),
            dropped_citations=self._parser.dropped,
            choice=self.choice,
        )

    def _events(self, parsed: Parsed) -> Iterator[AnswerEvent]:
        text = parsed.text
        if self._withheld is not None:
            if not parsed.citations:
                self._withheld.append(text)
                return
            text, self._withheld = "".join([*self._withheld, text]), None
        yield from self._deltas(text)
        for cited in parsed.citations:
            yield CitationAdded(
                source=cited.source,
                answer_start=cited.answer.start,
                answer_end=cited.answer.end,
                source_start=cited.evidence.start,
                source_end=cited.evidence.end,
                choice=self.choice,
            )
