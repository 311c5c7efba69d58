"""How much two texts mean the same, by the embedder that everyone shares."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from groundwire_index.errors import GroundwireError
from numpy.typing import NDArray

from groundwire_server.embedders.embedder import Embedder, EmbedKind

# A citation is not worth a longer wait: it is judged by its words alone then.
LONGEST_WAIT_S = 1.0
# Sentences that have nothing to do with one another.
_UNRELATED = (
    "The train to the coast leaves at noon.",
    "She painted the kitchen door green.",
    "Copper is a good conductor of heat.",
    "The court dismissed the appeal in March.",
    "Add two eggs and stir until smooth.",
    "The striker scored in extra time.",
    "Interest rates fell again last year.",
    "Bees find their way home by the sun.",
)

log = logging.getLogger(__name__)


class Similarity(Protocol):
    """Compares a claim with texts."""

    async def of(self, claim: str, texts: Sequence[str]) -> Sequence[float] | None:
        """About 0 for a text that has nothing to do with the claim, 1 for one of its meaning.

        None if it cannot be told now.
        """
        ...


class EmbeddedSimilarity:
    """Cosines of embeddings, on a scale that does not depend on the model.

    Models differ in the cosine of texts that have nothing in common: 0.03 for the built-in one,
    over 0.7 for some. So that of sentences without relation is taken for nothing.
    """

    def __init__(self, embedder: Embedder, longest_wait_s: float = LONGEST_WAIT_S) -> None:
        self._embedder = embedder
        self._longest_wait_s = longest_wait_s
        self._nothing: float | None = None

    async def of(self, claim: str, texts: Sequence[str]) -> Sequence[float] | None:
        """Of each text; None if the embedder fails, or takes longer than the longest wait."""
        unrelated = _UNRELATED if self._nothing is None else ()
        try:
            async with asyncio.timeout(self._longest_wait_s):
                answer = await self._embedder.embed([claim, *texts, *unrelated], EmbedKind.PASSAGE)
        except (GroundwireError, TimeoutError):
            return None
        except Exception:
            # What a model raises, such as that a GPU is full, must not end the answer.
            log.exception("a citation could not be compared with its source")
            return None
        vectors = answer.vectors
        if self._nothing is None:
            self._nothing = _mean_cosine(vectors[1 + len(texts) :])
        cosines = vectors[1 : 1 + len(texts)] @ vectors[0]
        return [float(cosine - self._nothing) / (1 - self._nothing) for cosine in cosines]


def _mean_cosine(vectors: NDArray[np.float32]) -> float:
    """Between each two of some unit vectors."""
    count = len(vectors)
    return float((vectors @ vectors.T).sum() - count) / (count * (count - 1))
