"""Reading citation marks out of a stream of text, and keeping only those that hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from groundwire_index.ingest.sentences import Span, sentences

from groundwire_server.grounding.support import Evidence
from groundwire_server.words import content_words

# "[1]", "[2, 3]" or "[1-3]" with the spaces before it, which go when the mark goes.
MARK = re.compile(r"[ \t]*\[\s?(\d{1,3}(?:\s?[-\u2013,;]\s?\d{1,3}){0,15})\s?\]")
_RANGE = re.compile(r"(\d+)(?:\s?[-\u2013]\s?(\d+))?")
# What may still become a mark. White space alone is held too: it may belong to one.
_OPEN = re.compile(r"[ \t]*(?:\[[\d\s,;\u2013-]{0,80})?\Z")
# Punctuation that the sentence before has left at the beginning of the next claim.
_BETWEEN = " \t\n.,;:!?)\u201d\"'-*\u2022"


@dataclass(frozen=True, slots=True)
class Cited:
    """A claim of the answer and the place in a passage that supports it."""

    source: int
    answer: Span
    evidence: Span


@dataclass(frozen=True, slots=True)
class Parsed:
    """Text to send now, and the citations that its marks made."""

    text: str
    citations: tuple[Cited, ...] = ()


class CitationParser:
    """Checks the marks of one answer as it streams.

    A mark cites the sentence before it, back to the mark before that. Marks that follow each
    other cite the same sentence. A mark stays in the text if its passage exists and supports
    the sentence; otherwise it is taken out and counted in ``dropped``. Text is held back only
    while it may be the beginning of a mark.
    """

    def __init__(self, evidence: Mapping[int, Evidence]) -> None:
        self._evidence = evidence
        self._held = ""
        self._parts: list[str] = []
        self._length = 0
        # Where the text after the last mark begins: in code points, and in parts.
        self._floor = 0
        self._floor_part = 0
        self._claim: _Claim | None = None
        self._swallow_space = False
        self.dropped = 0
        self.citations: list[Cited] = []

    @property
    def text(self) -> str:
        """The answer so far, as it was sent."""
        return "".join(self._parts)

    def feed(self, text: str) -> Parsed:
        """Take the next text of the model; return what can be sent."""
        parts_before, cited_before = len(self._parts), len(self.citations)
        pending = self._held + text
        start = 0
        for mark in MARK.finditer(pending):
            self._write(pending[start : mark.start()])
            self._mark(mark)
            start = mark.end()
        rest = pending[start:]
        opened = _OPEN.search(rest)
        cut = opened.start() if opened else len(rest)
        self._write(rest[:cut])
        self._held = rest[cut:]
        return Parsed("".join(self._parts[parts_before:]), tuple(self.citations[cited_before:]))

    def finish(self) -> Parsed:
        """The model is done: what was held back is no mark."""
        parts_before = len(self._parts)
        self._write(self._held)
        self._held = ""
        return Parsed("".join(self._parts[parts_before:]))

    def _write(self, text: str) -> None:
        if self._swallow_space:
            text = text.lstrip(" \t")
        if text:
            self._swallow_space = False
            self._parts.append(text)
            self._length += len(text)

    def _mark(self, mark: re.Match[str]) -> None:
        claim = self._claim_before_mark()
        named = dict.fromkeys(_named(mark[1]))
        kept = [number for number in named if self._cite(number, claim)]
        self.dropped += len(named) - len(kept)
        if kept:
            spaces = mark[0][: mark[0].index("[")]
            self._write(f"{spaces}[{', '.join(map(str, kept))}]")
        else:
            self._swallow_space = not self._parts or self._parts[-1].endswith("\n")
        self._claim = claim
        self._floor, self._floor_part = self._length, len(self._parts)

    def _cite(self, number: int, claim: _Claim | None) -> bool:
        evidence = self._evidence.get(number)
        if claim is None or evidence is None:
            return False
        place = evidence.support(claim.text)
        if place is None:
            return False
        self.citations.append(Cited(number, claim.span, place))
        return True

    def _claim_before_mark(self) -> _Claim | None:
        """The last sentence since the mark before, or that mark's own if there is none."""
        segment = "".join(self._parts[self._floor_part :])
        for span in reversed(sentences(segment)):
            sentence = segment[span.start : span.end]
            if content_words(sentence):
                bare = sentence.lstrip(_BETWEEN)
                end = self._floor + span.end
                return _Claim(bare, Span(end - len(bare), end))
        return self._claim


@dataclass(frozen=True, slots=True)
class _Claim:
    text: str
    span: Span


def _named(marked: str) -> Iterator[int]:
    for found in _RANGE.finditer(marked):
        first = int(found[1])
        yield from range(first, int(found[2] or first) + 1)
