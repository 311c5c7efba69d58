"""Reading citation marks out of a stream of text, and keeping only those that hold."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from groundwire_index.ingest.sentences import Span, sentences

from groundwire_server.grounding.similarity import Similarity
from groundwire_server.grounding.support import Evidence, Place
from groundwire_server.grounding.verdict import supporting, supporting_by_words
from groundwire_server.words import content_words

# "[1]", "[2, 3]" or "[1-3]" with the spaces before it, which go when the mark goes. A run of
# spaces is read once, not again from each of them.
MARK = re.compile(r"(?<![ \t])[ \t]*+\[\s?(\d{1,3}(?:\s?[-\u2013,;]\s?\d{1,3}){0,15})\s?\]")
_RANGE = re.compile(r"(\d+)(?:\s?[-\u2013]\s?(\d+))?")
# What may still become a mark. White space alone is held too: it may belong to one.
_OPEN = re.compile(r"(?<![ \t])[ \t]*+(?:\[[\d\s,;\u2013-]{0,80})?\Z")
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
    while it may be the beginning of a mark, and behind a mark whose sentence is being compared
    with its passage: nobody waits for that meanwhile. A quotation needs no comparison.
    """

    def __init__(
        self, evidence: Mapping[int, Evidence], similarity: Similarity | None = None
    ) -> None:
        """Without ``similarity`` citations are judged by their words alone.

        With it, to be used by one task on a running event loop, and closed.
        """
        self._evidence = evidence
        self._similarity = similarity
        self._held = ""
        self._parts: list[str] = []
        self._length = 0
        # What has been given out.
        self._given_parts = 0
        self._given_citations = 0
        # Where the text after the last mark begins: in code points, and in parts.
        self._floor = 0
        self._floor_part = 0
        self._claim: _Claim | None = None
        self._open: _OpenMark | None = None
        self._swallow_space = False
        self.dropped = 0
        self.judged_by_words = 0
        """Citations that could not be compared with their passage, although they should be."""
        self.citations: list[Cited] = []

    @property
    def text(self) -> str:
        """The answer so far, as it was sent."""
        return "".join(self._parts)

    def feed(self, text: str) -> Parsed:
        """Take the next text of the model; return what can be sent."""
        self._held += text
        self._advance()
        return self._parsed()

    async def settle(self) -> None:
        """Wait until every mark so far is decided."""
        while self._open is not None:
            await self._open.similarities
            self._advance()

    def finish(self) -> Parsed:
        """The model is done, and `settle` too: what was held back is no mark."""
        self._write(self._held)
        self._held = ""
        return self._parsed()

    def close(self) -> None:
        """Let go of what is still being compared. Idempotent."""
        if self._open is not None:
            self._open.similarities.cancel()

    def _parsed(self) -> Parsed:
        text = "".join(self._parts[self._given_parts :])
        citations = tuple(self.citations[self._given_citations :])
        self._given_parts, self._given_citations = len(self._parts), len(self.citations)
        return Parsed(text, citations)

    def _advance(self) -> None:
        """Read what is held back, as far as it can be decided."""
        while self._settled() and (mark := MARK.search(self._held)):
            self._write(self._held[: mark.start()])
            self._held = self._held[mark.end() :]
            self._read_mark(mark)
        if self._open is None:
            opened = _OPEN.search(self._held)
            cut = opened.start() if opened else len(self._held)
            self._write(self._held[:cut])
            self._held = self._held[cut:]

    def _settled(self) -> bool:
        """Decide the open mark if its comparison is done; whether none is open."""
        if self._open is not None and self._open.similarities.done():
            opened, self._open = self._open, None
            self._decide(opened.mark, opened.claim, opened.judged())
            self.judged_by_words += opened.similarities.result() is None
        return self._open is None

    def _write(self, text: str) -> None:
        if self._swallow_space:
            text = text.lstrip(" \t")
        if text:
            self._swallow_space = False
            self._parts.append(text)
            self._length += len(text)

    def _read_mark(self, mark: re.Match[str]) -> None:
        claim = self._claim_before_mark()
        places = {number: self._places(number, claim) for number in _named(mark[1])}
        to_compare = self._similarity is not None and _needs_comparison(places)
        # Once it could not be told, no mark waits for it: one after the other would hold up the
        # text for long.
        if claim is None or self._similarity is None or not to_compare or self.judged_by_words:
            judged = {number: supporting_by_words(found) for number, found in places.items()}
            self._decide(mark, claim, judged)
            self.judged_by_words += to_compare
            return
        texts = [place.text for found in places.values() for place in found]
        comparison = asyncio.ensure_future(self._similarity.of(claim.text, texts))
        self._open = _OpenMark(mark, claim, places, comparison)

    def _places(self, number: int, claim: _Claim | None) -> Sequence[Place]:
        evidence = self._evidence.get(number)
        return evidence.places(claim.text) if claim and evidence else ()

    def _decide(
        self, mark: re.Match[str], claim: _Claim | None, judged: Mapping[int, Place | None]
    ) -> None:
        """Keep of the mark the numbers that have a place; take out the others."""
        kept = []
        for number, place in judged.items():
            if claim is not None and place is not None:
                kept.append(number)
                self.citations.append(Cited(number, claim.span, place.span))
        self.dropped += len(judged) - len(kept)
        if kept:
            spaces = mark[0][: mark[0].index("[")]
            self._write(f"{spaces}[{', '.join(map(str, kept))}]")
        else:
            self._swallow_space = not self._parts or self._parts[-1].endswith("\n")
        self._claim = claim
        self._floor, self._floor_part = self._length, len(self._parts)

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


@dataclass(frozen=True, slots=True)
class _OpenMark:
    """A mark whose claim is being compared with what the passages say."""

    mark: re.Match[str]
    claim: _Claim
    places: Mapping[int, Sequence[Place]]
    similarities: asyncio.Future[Sequence[float] | None]

    def judged(self) -> Mapping[int, Place | None]:
        """The place that supports the claim, by number."""
        similarities = self.similarities.result()
        if similarities is None:
            return {number: supporting_by_words(found) for number, found in self.places.items()}
        left = iter(similarities)
        return {
            number: supporting(found, list(islice(left, len(found))))
            for number, found in self.places.items()
        }


def _needs_comparison(places: Mapping[int, Sequence[Place]]) -> bool:
    return any(found and not found[0].is_quoted for found in places.values())


def _named(marked: str) -> Iterator[int]:
    for found in _RANGE.finditer(marked):
        first, last = int(found[1]), int(found[2] or found[1])
        # A range that ends before it begins names nothing, and is dropped as one number is that
        # no passage has.
        yield from range(first, last + 1) if first <= last else (-first,)
