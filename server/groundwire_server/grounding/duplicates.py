"""Passages that say nothing new are left out: a prompt has better uses for its room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from groundwire_server.grounding.events import Passage
from groundwire_server.words import NEGATIONS, STOP_WORDS, stem, tokens

# Share of the runs of three words of a passage that another holds, if the two say the same.
SAME_RUNS = 0.9
_RUN = 3
# A negation carries no meaning alone, but what it turns around is not the same without it.
_SAYS_NOTHING = STOP_WORDS - NEGATIONS


def without_duplicates(passages: Iterable[Passage]) -> list[Passage]:
    """The passages, best first, but for those that a better one makes superfluous.

    It does if it has the same words, whatever their case, inflection, spacing and punctuation;
    or if it has `SAME_RUNS` of their runs of three words, and besides every word, number and
    negation that carries meaning, and each number between the same words: two versions of a text
    that differ in a price are both kept.
    What is left out is named in ``duplicate_ids`` of the better one.
    """
    kept: list[tuple[Passage, _Wording]] = []
    for passage in passages:
        wording = _wording(passage.text)
        for at, (better, known) in enumerate(kept):
            if wording.is_in(known):
                ids = (*better.duplicate_ids, *passage.chunk_ids)
                kept[at] = replace(better, duplicate_ids=ids), known
                break
        else:
            kept.append((passage, wording))
    return [passage for passage, _ in kept]


@dataclass(frozen=True, slots=True)
class _Wording:
    meant: Counter[str]
    runs: frozenset[tuple[str, ...]]
    with_numbers: frozenset[tuple[str, ...]]
    """Those of the runs that hold a number."""

    def is_in(self, other: _Wording) -> bool:
        if not (self.meant <= other.meant and self.with_numbers <= other.runs):
            return False
        return len(self.runs & other.runs) >= SAME_RUNS * len(self.runs)


def _wording(text: str) -> _Wording:
    words = [_same_for_all_forms(token) for token in tokens(text)]
    meant = Counter(word for word in words if word not in _SAYS_NOTHING)
    runs = frozenset(_runs(words))
    numbered = frozenset(run for run in runs if any(word[0].isdigit() for word in run))
    return _Wording(meant, runs, numbered)


def _same_for_all_forms(token: str) -> str:
    return token if token in STOP_WORDS else stem(token)


def _runs(words: Sequence[str]) -> Iterable[tuple[str, ...]]:
    last = max(1, len(words) - _RUN + 1)
    return (tuple(words[at : at + _RUN]) for at in range(last))
