"""Whether a passage supports a claim, and where it does.

The check is by words, so that it costs microseconds and never delays a token. It is strict
about numbers and negation, where an overlap of words would deceive, and it knows nothing of
meaning beyond that: it cannot tell who did what to whom.
"""

from __future__ import annotations

from dataclasses import dataclass

from groundwire_index.ingest.sentences import Span, sentences

from groundwire_server.words import content_words, denied_words, numbers

# Share of a claim's content words that its evidence must hold.
COVERAGE = 0.6
# Sentences that one claim may be drawn from; each one more must bring at least this much.
LONGEST_RUN = 3
GAIN_PER_SENTENCE = 0.1


@dataclass(frozen=True, slots=True)
class _Wording:
    words: frozenset[str]
    denied: frozenset[str]

    def joined(self, other: _Wording) -> _Wording:
        return _Wording(self.words | other.words, self.denied | other.denied)


def _wording(text: str) -> _Wording:
    return _Wording(frozenset(content_words(text)), denied_words(text))


class Evidence:
    """One passage, read once, ready to be held against any number of claims."""

    def __init__(self, text: str, context: str = "") -> None:
        """``context`` is what the passage stands under: its words count as said."""
        self._spans = sentences(text)
        self._wordings = [_wording(text[span.start : span.end]) for span in self._spans]
        self._context = frozenset(content_words(context))

    def support(self, claim: str) -> Span | None:
        """The shortest run of sentences that supports the claim best, or None.

        A run supports a claim if it holds at least `COVERAGE` of its content words, all of its
        numbers, and denies what the claim denies and nothing else that the claim says.
        """
        said = _wording(claim)
        figures = numbers(claim)
        best_merit, best = 0.0, None
        for first in range(len(self._spans)):
            run = _Wording(frozenset(), frozenset())
            for last in range(first, min(first + LONGEST_RUN, len(self._spans))):
                run = run.joined(self._wordings[last])
                coverage = self._coverage(said, figures, run)
                merit = coverage - GAIN_PER_SENTENCE * (last - first)
                if coverage >= COVERAGE and merit > best_merit:
                    best_merit = merit
                    best = Span(self._spans[first].start, self._spans[last].end)
        return best

    def _coverage(self, said: _Wording, figures: frozenset[str], run: _Wording) -> float:
        known = run.words | self._context
        if not said.words & run.words or not figures <= known:
            return 0.0
        if bool(run.denied & said.words) != bool(said.denied & run.words):
            return 0.0
        return len(said.words & known) / len(said.words)
