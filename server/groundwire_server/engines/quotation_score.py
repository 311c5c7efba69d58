"""How well a sentence answers a question, without a language model.

    score = 0.5 * meaning + 0.3 * near words + 0.2 * same words + form - missing focus

- meaning: cosine similarity of the embedded question and quotation, alone or under its heading,
  whichever is higher.
- same words: share of the question's content words that the quotation or its heading has, each
  weighted by its inverse document frequency over the quotations (Spärck Jones, 1972).
- near words: the same, but a word that is not there counts by its most similar word (cosine of
  the embedded words, 0.25 counting as nothing and 0.75 as the same).
- form: +0.03 or -0.03 for holding, or not, what the question asks for (a number, a name, ...).
- missing focus: how far the question's rarest word is from being there. Asked for the weight of
  a mirror, sentences about the mirror are close in meaning, and hold no answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.engines.question_form import fits_form
from groundwire_server.engines.quotation import Quotation
from groundwire_server.words import STOP_WORDS, stem, tokens, word_set

MEANING, NEAR_WORDS, SAME_WORDS, FORM, FOCUS = 0.5, 0.3, 0.2, 0.03, 0.3
# Similarity of words from which it counts, and from which it counts in full.
_UNRELATED, _SAME = 0.25, 0.75
# The focus is missing as far as nothing is this similar to it.
_FOCUS_PRESENT = 0.6
# They ask; what is asked is said by the others.
_ASKING = word_set(
    "describe do does done explain far fast happen happened happens high kind list long many may "
    "mean means much must name named names often old please quickly say says soon tell type way"
)

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A quotation, how well it answers, and its vector for comparison with others."""

    quotation: Quotation
    score: float
    vector: Vectors


async def score(embedder: Embedder, question: str, candidates: Sequence[Quotation]) -> list[Scored]:
    """Score every candidate, in order."""
    terms = _terms(question)
    named = [[*_words(one.text), *_words(one.heading)] for one in candidates]
    vocabulary = {word: number for number, word in enumerate(sorted(set().union(*named)))}
    (asked,) = (await embedder.embed([question], EmbedKind.QUERY)).vectors
    texts = [one.text for one in candidates]
    headed = [f"{one.heading}: {one.text}" for one in candidates]
    passages = [*texts, *headed, *vocabulary, *terms.values()]
    vectors = (await embedder.embed(passages, EmbedKind.PASSAGE)).vectors
    alone, under_heading, known, wanted = np.split(
        vectors, np.cumsum([len(texts), len(headed), len(vocabulary)])
    )
    meaning = np.maximum(alone @ asked, under_heading @ asked)
    likeness = wanted @ known.T
    weights = _weights(terms, [set(map(stem, _words(one.text))) for one in candidates])
    return [
        Scored(
            candidate,
            MEANING * float(meaning[number])
            + _by_words(terms, weights, named[number], vocabulary, likeness)
            + _by_form(question, candidate.sentences[-1]),
            alone[number],
        )
        for number, candidate in enumerate(candidates)
    ]


def _terms(question: str) -> dict[str, str]:
    """The question's content words by their stems."""
    terms: dict[str, str] = {}
    for word in _words(question):
        if word not in _ASKING:
            terms.setdefault(stem(word), word)
    return terms


def _words(text: str) -> list[str]:
    return [word for word in tokens(text) if word not in STOP_WORDS]


def _weights(terms: dict[str, str], held: Sequence[set[str]]) -> list[float]:
    """Inverse document frequency of each term; a term that nothing holds weighs most."""
    return [math.log((len(held) + 1) / (sum(term in one for one in held) + 0.5)) for term in terms]


def _by_words(
    terms: dict[str, str],
    weights: Sequence[float],
    words: Sequence[str],
    vocabulary: dict[str, int],
    likeness: Vectors,
) -> float:
    total = sum(weights)
    if not total:
        return 0.0
    stems = set(map(stem, words))
    places = [vocabulary[word] for word in words]
    matches = [
        1.0 if term in stems else float(likeness[row, places].max(initial=0.0))
        for row, term in enumerate(terms)
    ]
    same = sum(weight for term, weight in zip(terms, weights, strict=True) if term in stems)
    near = sum(
        weight * min(1.0, max(0.0, (match - _UNRELATED) / (_SAME - _UNRELATED)))
        for match, weight in zip(matches, weights, strict=True)
    )
    # Of equally rare words, the one that is there.
    _, focus = max(zip(weights, matches, strict=True))
    missing = max(0.0, _FOCUS_PRESENT - focus)
    return (NEAR_WORDS * near + SAME_WORDS * same) / total - FOCUS * missing


def _by_form(question: str, sentence: str) -> float:
    fits = fits_form(question, sentence)
    return 0.0 if fits is None else FORM if fits else -FORM
