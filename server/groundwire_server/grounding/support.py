"""Where a passage may support a claim, by the words of both.

Reading words costs microseconds. It is strict about numbers, names and negation, where an overlap
of words would deceive, and it knows nothing of meaning beyond that: it cannot tell who did what
to whom. `grounding.verdict` decides what its places are worth.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from groundwire_index.ingest.sentences import Span, sentences

from groundwire_server.words import content_words, denied_words, names, numbers, tokens

# Least share of a claim's content words that a place holds at all.
POSSIBLE = 0.25
# Sentences that one claim may be drawn from; each one more must bring at least this much.
LONGEST_RUN = 3
GAIN_PER_SENTENCE = 0.1
# Places that are worth a closer look.
MOST_PLACES = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A run of sentences of a passage that has what a claim says, or some of it."""

    span: Span
    text: str
    coverage: float
    """Share of the claim's content words that it holds, `POSSIBLE` to 1."""
    is_quoted: bool
    """The claim is in it, word for word."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a passage, up to the next one."""

    start: int
    """In code points."""
    context: str
    """What it stands under: title and headings, whose words count as said."""


class Evidence:
    """One passage, read once, ready to be held against any number of claims."""

    def __init__(self, text: str, sections: Sequence[Section] = ()) -> None:
        """``sections`` are in order; what is before the first stands under nothing."""
        self._text = text
        starts = [section.start for section in sections]
        contexts = [frozenset[str](), *(frozenset(content_words(one.context)) for one in sections)]
        self._sentences = [
            _Sentence(
                span,
                _wording(text[span.start : span.end]),
                contexts[bisect_right(starts, span.start)],
            )
            for span in sentences(text)
        ]
        self._words = frozenset(content_words(text)).union(*contexts)

    def places(self, claim: str) -> list[Place]:
        """The places that hold most of what the claim says, the best first; none overlap.

        A place holds all of the claim's numbers, and those of its names that are anywhere in the
        passage; it denies what the claim denies, and nothing else that the claim says. Of equally
        good ones the shorter is better.
        """
        said = _wording(claim)
        needed = names(claim) & self._words
        held = [
            (coverage - GAIN_PER_SENTENCE * (len(run) - 1), coverage, run)
            for run in self._runs(said)
            if (coverage := _coverage(said, needed, run)) >= POSSIBLE
        ]
        places: list[Place] = []
        # Stable: of equal merit the first, and of those with the same start the shorter.
        for _, coverage, run in sorted(held, key=lambda one: -one[0]):
            span = Span(run[0].span.start, run[-1].span.end)
            if all(span.end <= one.span.start or one.span.end <= span.start for one in places):
                places.append(self._place(claim, span, coverage))
            if len(places) == MOST_PLACES:
                break
        return places

    def _place(self, claim: str, span: Span, coverage: float) -> Place:
        text = self._text[span.start : span.end]
        return Place(span, text, coverage, coverage == 1 and _spoken(claim) in _spoken(text))

    def _runs(self, said: _Wording) -> Iterator[Sequence[_Sentence]]:
        for first in range(len(self._sentences)):
            words: frozenset[str] = frozenset()
            for last in range(first, min(first + LONGEST_RUN, len(self._sentences))):
                more = self._sentences[last]
                if last > first and not self._joins(said, self._sentences[first], words, more):
                    break
                words |= more.wording.words
                yield self._sentences[first : last + 1]

    @staticmethod
    def _joins(said: _Wording, first: _Sentence, words: frozenset[str], more: _Sentence) -> bool:
        """Whether a run goes on: with what stands under the same, and says something else."""
        alike = _would_mix(said.words, words, more.wording.words)
        return more.context == first.context and not alike


@dataclass(frozen=True, slots=True)
class _Wording:
    words: frozenset[str]
    numbers: frozenset[str]
    denied: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Sentence:
    span: Span
    wording: _Wording
    context: frozenset[str]


def _wording(text: str) -> _Wording:
    return _Wording(frozenset(content_words(text)), numbers(text), denied_words(text))


def _spoken(text: str) -> str:
    return f" {' '.join(tokens(text))} "


def _would_mix(said: frozenset[str], before: frozenset[str], more: frozenset[str]) -> bool:
    """Whether a claim would take a word from each of two sentences that say the same otherwise.

    "The one closes at 18 metres" and "The other closes at 14 metres" do not say together that
    the one closes at 14.
    """
    both = said & before & more
    only_before, only_more = said & before - more, said & more - before
    fewest = min(len(only_before), len(only_more))
    return fewest == 1 and len(both) >= len(only_before) + len(only_more)


def _coverage(said: _Wording, needed: frozenset[str], run: Sequence[_Sentence]) -> float:
    """The share of the claim's words that a run holds; 0 if it cannot support the claim."""
    words = frozenset[str]().union(*(one.wording.words for one in run))
    known = words | run[0].context
    if not said.words & words or not needed <= known:
        return 0.0
    # What stands above it has no signs, but the numbers of chapters and years.
    held = frozenset[str]().union(*(one.wording.numbers for one in run))
    if not said.numbers - held <= run[0].context:
        return 0.0
    denied = frozenset[str]().union(*(one.wording.denied for one in run))
    if bool(denied & said.words) != bool(said.denied & words):
        return 0.0
    return len(said.words & known) / len(said.words)
