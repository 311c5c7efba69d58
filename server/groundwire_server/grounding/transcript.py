"""From what an engine says to what a reader sees: checked, held back where asked, counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from groundwire_server.engines.engine import (
    FinishReason,
    ReasoningPiece,
    TextPiece,
    TokenLogprob,
    ToolCallPiece,
)
from groundwire_server.engines.tools import ToolCall
from groundwire_server.grounding.call_texts import CallTexts
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
from groundwire_server.grounding.similarity import Similarity
from groundwire_server.grounding.support import Evidence, Section


class Transcript:
    """One choice of an answer without sources: text as it comes."""

    def __init__(self, choice: int = 0) -> None:
        self.choice = choice
        self.completion_tokens = 0
        self._text: list[str] = []
        self._unsent_tokens = 0
        self._unsent_logprobs: list[TokenLogprob] = []
        self._calls = CallTexts()

    @property
    def tool_calls(self) -> tuple[ToolCall, ...] | None:
        """The calls that it made; None if the arguments of one are no JSON object."""
        return self._calls.whole()

    @property
    def text(self) -> str:
        """The answer as the reader has it."""
        return "".join(self._text)

    @property
    def cited_chunk_ids(self) -> tuple[str, ...]:
        """Chunks that the answer cites, in order of first citation."""
        return ()

    def add(self, piece: TextPiece) -> Iterable[AnswerEvent]:
        """Take the engine's next piece; give what the reader gets now."""
        self._count(piece)
        return self._deltas(piece.text)

    def add_aside(self, piece: ReasoningPiece | ToolCallPiece) -> Iterator[AnswerEvent]:
        """Take what is not part of the text."""
        self.completion_tokens += piece.token_count
        if isinstance(piece, ReasoningPiece):
            yield ReasoningDelta(piece.text, self.choice)
        else:
            yield from map(_delta, self._calls.add(piece))

    async def settle(self) -> None:
        """Wait for what `end` needs to know."""

    def close(self) -> None:
        """Let go of what is under way. Idempotent."""

    def end(self, reason: FinishReason) -> Iterator[AnswerEvent]:
        """After `settle`: give what was still held back, and the end, without usage."""
        yield from self._end_of_calls(reason)
        yield from self._deltas("", last=True)
        yield Finished(reason, choice=self.choice)

    def _end_of_calls(self, reason: FinishReason) -> Iterator[ToolCallDelta]:
        # Else the last one may be cut off.
        if reason is FinishReason.TOOL_CALLS:
            yield from map(_delta, self._calls.end(self.choice))

    def _count(self, piece: TextPiece) -> None:
        self.completion_tokens += piece.token_count
        self._unsent_tokens += piece.token_count
        self._unsent_logprobs += piece.logprobs

    def _deltas(self, text: str, *, last: bool = False) -> tuple[TextDelta, ...]:
        """None or one. Not a generator: it is called for every token."""
        # Tokens without text, such as the first bytes of a character, go with the next text.
        if not text and not (last and self._unsent_logprobs):
            return ()
        self._text.append(text)
        delta = TextDelta(text, self._unsent_tokens, self.choice, tuple(self._unsent_logprobs))
        self._unsent_tokens, self._unsent_logprobs = 0, []
        return (delta,)


class GroundedTranscript(Transcript):
    """One choice of a grounded answer: its citations are checked as they come.

    With ``require_sources`` nothing is given until the first citation holds; if none does,
    nothing ever is, and the reasoning before it is not given.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        similarity: Similarity | None = None,
        *,
        require_sources: bool = False,
        choice: int = 0,
    ) -> None:
        super().__init__(choice)
        self._passages = {passage.number: passage for passage in passages}
        self._parser = CitationParser(
            {passage.number: evidence_of(passage) for passage in passages}, similarity
        )
        self._withheld: list[str] | None = [] if require_sources else None

    @property
    def cited_chunk_ids(self) -> tuple[str, ...]:
        """Chunks that the answer cites, in order of first citation."""
        cited = (
            chunk_id
            for citation in self._parser.citations
            for chunk_id in self._passages[citation.source].chunk_ids_of(*citation.evidence)
        )
        return tuple(dict.fromkeys(cited))

    def add(self, piece: TextPiece) -> Iterator[AnswerEvent]:
        """Take the engine's next piece; give what the reader gets now."""
        self._count(piece)
        yield from self._events(self._parser.feed(piece.text))

    def add_aside(self, piece: ReasoningPiece | ToolCallPiece) -> Iterator[AnswerEvent]:
        """Take what is not part of the text, and has no citations that could be checked."""
        events = tuple(super().add_aside(piece))
        # A call says nothing that a source could support.
        if self._withheld is None or isinstance(piece, ToolCallPiece):
            yield from events

    async def settle(self) -> None:
        """Wait until every citation is decided."""
        await self._parser.settle()

    def close(self) -> None:
        """Let go of citations that are not decided. Idempotent."""
        self._parser.close()

    def end(self, reason: FinishReason) -> Iterator[AnswerEvent]:
        """After `settle`: give what was still held back, and the end, without usage."""
        yield from self._end_of_calls(reason)
        yield from self._events(self._parser.finish())
        if self._withheld is None:
            yield from self._deltas("", last=True)
        calls = reason is FinishReason.TOOL_CALLS
        is_bare = not self._passages and reason is FinishReason.STOP
        # Nothing was found to answer from, or nothing in the answer is supported.
        if not calls and (self._withheld is not None or is_bare):
            reason = FinishReason.NO_SOURCES
        yield Finished(
            reason,
            confidence=None if calls else self._confidence(),
            degraded_reason=self._degraded_reason(),
            dropped_citations=self._parser.dropped,
            choice=self.choice,
        )

    def _confidence(self) -> float:
        return confidence(
            self._parser.text,
            self._parser.citations,
            tuple(self._passages.values()),
            self._parser.dropped,
        )

    def _degraded_reason(self) -> str:
        count = self._parser.judged_by_words
        if not count:
            return ""
        marks, them = ("mark was", "it") if count == 1 else ("marks were", "them")
        return (
            f"{count} citation {marks} judged by words alone: the embedder did not compare {them} "
            "in time"
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


def _delta(piece: ToolCallPiece) -> ToolCallDelta:
    return ToolCallDelta(piece.index, piece.id, piece.name, piece.arguments, piece.choice)


def evidence_of(passage: Passage) -> Evidence:
    """A passage, with what each of its parts stands under."""
    sections = [(0, passage.headings), *((one.start, one.headings) for one in passage.joined)]
    return Evidence(
        passage.text,
        [Section(start, " ".join([passage.title, *headings])) for start, headings in sections],
    )
