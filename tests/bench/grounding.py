"""What the check of citations lets through, and what the confidence of an answer is worth.

Judged on the sample answers: such as a small model writes, right and wrong in ways that are hard
to tell, and those of the quoting engine. Nothing here depends on the machine's speed.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Sequence

from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.grounding import verdict
from groundwire_server.grounding.similarity import EmbeddedSimilarity
from groundwire_server.grounding.support import Place

from tests.bench.sample_answers import Answer, Handbook, handbook, judged, places_of

THRESHOLDS = (0.9, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3)
BINS = 5

# A place of a source, and how similar it is to the claim.
Rated = tuple[Place, float]


async def rated(similarity: EmbeddedSimilarity, claim: str, answer: Answer) -> list[Rated]:
    """Every place of the sources that may support a claim."""
    places = places_of(answer.passages, claim)
    told = await similarity.of(claim, [place.text for place in places]) if places else []
    return list(zip(places, told or [], strict=True))


def show_check(true: Sequence[Sequence[Rated]], false: Sequence[Sequence[Rated]]) -> None:
    """How many claims would be let through, by the places of each."""

    def line(name: str, threshold: float, *, by_words: bool = False) -> None:
        def held(claims: Sequence[Sequence[Rated]]) -> int:
            return sum(
                any(
                    place.coverage + (0 if by_words else similarity) >= threshold
                    for place, similarity in places
                )
                for places in claims
            )

        print(f"  {name}: {held(true)} of {len(true)} true, {held(false)} of {len(false)} false")

    print("sentences with a mark that hold:")
    line(f"words >= {verdict.SUPPORTS_BY_WORDS}", verdict.SUPPORTS_BY_WORDS, by_words=True)
    for threshold in THRESHOLDS:
        chosen = " (chosen)" if threshold == verdict.SUPPORTS else ""
        line(f"words + similarity >= {threshold}{chosen}", threshold)


def show_confidence(pairs: Sequence[tuple[float, bool]]) -> None:
    """Reliability of the confidence of answers that are right or wrong."""

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    rights = mean([float(is_right) for _, is_right in pairs])
    brier = mean([(sure - is_right) ** 2 for sure, is_right in pairs])
    print(f"confidence of {len(pairs)} answers, of which {rights:.0%} are right:")
    for name, wanted in (("right", True), ("wrong", False)):
        print(f"  mean of those that are {name}: {mean([s for s, r in pairs if r is wanted]):.2f}")
    print(f"  Brier score: {brier:.3f}; always saying {rights:.2f}: {rights * (1 - rights):.3f}")
    error = 0.0
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS
        some = [one for one in pairs if min(int(one[0] * BINS), BINS - 1) == number]
        if some:
            sure, right = mean([s for s, _ in some]), mean([float(r) for _, r in some])
            error += abs(sure - right) * len(some) / len(pairs)
            print(f"  {low:.1f} to {high:.1f}: {len(some)}, mean {sure:.2f}, right {right:.2f}")
    print(f"  expected calibration error: {error:.3f}")


async def measure(book: Handbook, similarity: EmbeddedSimilarity) -> None:
    """Print both."""
    claims: dict[bool, list[list[Rated]]] = {True: [], False: []}
    pairs: list[tuple[float, bool]] = []
    written = [answer async for answer in book.written()]
    quoted = [answer async for answer in book.quoted()]
    for answer in written:
        for claim, is_supported in answer.claims:
            claims[is_supported].append(await rated(similarity, claim, answer))
    for answer in itertools.chain(written, quoted):
        finished = await judged(answer, similarity)
        pairs.append((finished.confidence or 0.0, answer.is_right))
    show_check(claims[True], claims[False])
    show_confidence(pairs)


async def run() -> None:
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2")
    await embedder.start()
    async with handbook(embedder) as book:
        await measure(book, EmbeddedSimilarity(embedder))
    await embedder.close()


if __name__ == "__main__":
    asyncio.run(run())
    sys.exit(0)
