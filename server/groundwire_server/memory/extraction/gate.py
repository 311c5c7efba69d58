"""What is let in of what a model proposes: what it is sure of, and the user has said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from groundwire_server.memory.extraction.candidates import Candidate
from groundwire_server.memory.memories.memory import Recalled
from groundwire_server.memory.session import Turn
from groundwire_server.words import content_words, denied_words, names, numbers

# Of the words of a memory, how many the turn has that it came from.
SUPPORTED = 0.6
# Above this cosine two texts say the same, unless a number or a negation tells them apart.
SAME = 0.9
# Whom it is about is not among what was said.
_ABOUT = frozenset(content_words("user User's"))


class Verdict(Enum):
    """What becomes of a proposal."""

    STORED = "stored"
    DOUBTFUL = "doubtful"
    """The model is not sure."""
    UNSUPPORTED = "unsupported"
    """The user has not said it, or not there."""
    KNOWN = "known"
    """It is remembered already."""


def judged(candidate: Candidate, turns: Mapping[int, Turn], confidence: float) -> Verdict:
    """Judge a proposal by what the user said, by number of turn."""
    if candidate.confidence < confidence:
        return Verdict.DOUBTFUL
    turn = turns.get(candidate.turn)
    if turn is None or not _is_said(candidate.text, turn.content):
        return Verdict.UNSUPPORTED
    return Verdict.STORED


def is_known(text: str, remembered: Iterable[Recalled]) -> bool:
    """Whether one of these memories says the same."""
    words = content_words(text)
    return any(
        (one.semantic >= SAME or content_words(one.memory.text) == words)
        and _tells_the_same(text, one.memory.text)
        for one in remembered
    )


def _is_said(text: str, said: str) -> bool:
    claimed = frozenset(content_words(text)) - _ABOUT
    spoken = frozenset(content_words(said))
    if not claimed or len(claimed & spoken) < SUPPORTED * len(claimed):
        return False
    if not (numbers(text) <= numbers(said) and names(text) - _ABOUT <= spoken):
        return False
    return denied_words(text) & spoken == denied_words(said) & claimed


def _tells_the_same(one: str, other: str) -> bool:
    return numbers(one) == numbers(other) and denied_words(one) == denied_words(other)
