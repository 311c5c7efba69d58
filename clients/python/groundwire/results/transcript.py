"""What has arrived of an answer so far."""

from __future__ import annotations

from groundwire.chat import Message, ToolCall
from groundwire.results.events import (
    Citation,
    Event,
    Finished,
    Passage,
    ReasoningDelta,
    Sources,
    Started,
    TextDelta,
    ToolCallDelta,
)


class Transcript:
    """The first choice of an answer, gathered from its events.

    It keeps what it has when the stream breaks off: an error in the middle of an answer
    loses nothing that came before.
    """

    def __init__(self) -> None:
        self.started: Started | None = None
        self.passages: tuple[Passage, ...] = ()
        self.finished: Finished | None = None
        self._citations: list[Citation] = []
        self._pieces: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[int, list[ToolCallDelta]] = {}

    @property
    def answer(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return "".join(self._thoughts)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of tools so far; the last may have a part of its arguments only."""
        return tuple(
            ToolCall(pieces[0].id, pieces[0].name, "".join(piece.arguments for piece in pieces))
            for _, pieces in sorted(self._calls.items())
        )

    @property
    def message(self) -> Message:
        """The answer so far as a message, to go on with the chat."""
        return Message("assistant", self.answer, self.tool_calls)

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The citations so far."""
        return tuple(self._citations)

    def passage(self, citation: Citation) -> Passage:
        """The passage that a citation names; ``LookupError`` if it was not sent."""
        for passage in self.passages:
            if passage.number == citation.source:
                return passage
        raise LookupError(f"There is no source number {citation.source}.")

    def add(self, event: Event) -> None:
        """Take in the next event."""
        match event:
            case TextDelta(choice=0):
                self._pieces.append(event.text)
            case ReasoningDelta(choice=0):
                self._thoughts.append(event.text)
            case ToolCallDelta(choice=0):
                self._calls.setdefault(event.index, []).append(event)
            case Citation(choice=0):
                self._citations.append(event)
            case Started():
                self.started = event
            case Sources():
                self.passages = event.passages
            case Finished(choice=0):
                self.finished = event
