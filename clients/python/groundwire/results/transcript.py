"""What has arrived of an answer so far."""

from __future__ import annotations

from groundwire.results.events import (
    Citation,
    Event,
    Finished,
    Passage,
    Sources,
    Started,
    TextDelta,
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

    @property
    def answer(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

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
            case Citation(choice=0):
                self._citations.append(event)
            case Started():
                self.started = event
            case Sources():
                self.passages = event.passages
            case Finished(choice=0):
                self.finished = event
