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

A follow-up is scored with its subject in front, whose words weigh half; what has been said
already loses 0.15, because whoever goes on asking wants something else.
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

MEANING, NEAR_WORDS, SAME_WORDS, FORM, FOCUS, SAID = 0.5, 0.3, 0.2, 0.03, 0.3, 0.15
_SUBJECT_WEIGHT = 0.5
# Similarity of words from which it counts, and from which it counts in full.
_UNRELATED, _SAME = 0.25, 0.75
# The focus is missing as far as nothing is this similar to it.
_FOCUS_PRESENT = 0.6
# Candidates whose words are compared one by one.
_LOOKED_AT = 12
# They ask, or only link (to become, to stay); what is asked is said by the others.
_ASKING = word_set(
    "became become becomes describe do does done explain far fast happen happened happens high "
    "kind list long many may mean means much must name named names often please quickly remain "
    "remains say says soon stay stays take takes tell type way"
)

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A quotation, how well it answers, and its vector for comparison with others."""

    quotation: Quotation
    score: float
    vector: Vectors


async def score(
    embedder: Embedder,
    question: str,
    candidates: Sequence[Quotation],
    *,
    subject: str = "",
    said: str = "",
) -> list[Scored]:
    """Score the candidates that could be best, best first; there must be at least one.

    ``subject`` is what a follow-up is about, ``said`` what was answered before it.
    """
    asked = _Asked(question, subject, candidates)
    texts = [one.text for one in candidates]
    standalone = f"{subject}: {question}" if subject else question
    (wanted,) = (await embedder.embed([standalone], EmbedKind.QUERY)).vectors
    vectors = (await embedder.embed(texts, EmbedKind.PASSAGE)).vectors
    # Only these are looked at word by word: it costs as much as all that came before.
    alone = vectors @ wanted
    at_first = [
        MEANING * float(likeness) + SAME_WORDS * asked.same_words(one)
        for one, likeness in zip(candidates, alone, strict=True)
    ]
    kept = sorted(range(len(candidates)), key=at_first.__getitem__, reverse=True)[:_LOOKED_AT]
    shortlist = [candidates[number] for number in kept]
    words = await _NearWords.embedded(embedder, asked, shortlist)
    headed = [f"{one.heading}: {one.text}" for one in shortlist]
    under_heading = (await embedder.embed(headed, EmbedKind.PASSAGE)).vectors @ wanted
    scored = [
        Scored(
            one,
            MEANING * float(max(alone[number], under))
            + SAME_WORDS * asked.same_words(one)
            + words.merit(one)
            + _by_form(question, one.sentences[-1])
            - (SAID if subject and one.sentences[-1] in said else 0.0),
            vectors[number],
        )
        for one, number, under in zip(shortlist, kept, under_heading, strict=True)
    ]
    return sorted(scored, key=lambda one: (-one.score, one.quotation.rank, one.quotation.first))


class _Asked:
    """The content words of a question, and how much each of them says."""

    def __init__(self, question: str, subject: str, candidates: Sequence[Quotation]) -> None:
        own = _terms(question)
        self.terms = {**_terms(subject), **own}
        held = [set(map(stem, _words(one.text))) for one in candidates]
        # Inverse document frequency; a term that nothing holds weighs most.
        self.weights = [
            math.log((len(held) + 1) / (sum(term in one for one in held) + 0.5))
            * (1.0 if term in own else _SUBJECT_WEIGHT)
            for term in self.terms
        ]
        self.total = sum(self.weights) or 1.0

    def same_words(self, quotation: Quotation) -> float:
        """The share of them that a quotation holds, 0 to 1."""
        held = set(map(stem, _words_around(quotation)))
        pairs = zip(self.terms, self.weights, strict=True)
        return sum(weight for term, weight in pairs if term in held) / self.total


class _NearWords:
    """Likeness of the words of a question and the words of quotations."""

    def __init__(self, asked: _Asked, vocabulary: dict[str, int], likeness: Vectors) -> None:
        self._asked = asked
        self._vocabulary = vocabulary
        self._likeness = likeness

    @classmethod
    async def embedded(
        cls, embedder: Embedder, asked: _Asked, quotations: Sequence[Quotation]
    ) -> _NearWords:
        """Compare every word of the question with every word of the quotations."""
        words = sorted({word for one in quotations for word in _words_around(one)})
        texts = [*asked.terms.values(), *words]
        vectors = (await embedder.embed(texts, EmbedKind.PASSAGE)).vectors
        wanted, known = np.split(vectors, [len(asked.terms)])
        return cls(asked, {word: place for place, word in enumerate(words)}, wanted @ known.T)

    def merit(self, quotation: Quotation) -> float:
        """What near words add for a quotation, less what its missing focus takes."""
        asked = self._asked
        if not asked.terms:
            return 0.0
        words = _words_around(quotation)
        stems = set(map(stem, words))
        places = [self._vocabulary[word] for word in words]
        matches = [
            1.0 if term in stems else float(self._likeness[row, places].max(initial=0.0))
            for row, term in enumerate(asked.terms)
        ]
        near = sum(
            weight * min(1.0, max(0.0, (match - _UNRELATED) / (_SAME - _UNRELATED)))
            for match, weight in zip(matches, asked.weights, strict=True)
        )
        # Of equally rare words, the one that is there.
        _, focus = max(zip(asked.weights, matches, strict=True))
        return NEAR_WORDS * near / asked.total - FOCUS * max(0.0, _FOCUS_PRESENT - focus)


def _terms(question: str) -> dict[str, str]:
    """The question's content words by their stems."""
    terms: dict[str, str] = {}
    for word in _words(question):
        if word not in _ASKING:
            terms.setdefault(stem(word), word)
    return terms


def _words(text: str) -> list[str]:
    return [word for word in tokens(text) if word not in STOP_WORDS]


def _words_around(quotation: Quotation) -> list[str]:
    return [*_words(quotation.text), *_words(quotation.heading)]


def _by_form(question: str, sentence: str) -> float:
    fits = fits_form(question, sentence)
    return 0.0 if fits is None else FORM if fits else -FORM
