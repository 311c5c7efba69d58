"""Similarity has the same scale for every embedder, and none of its failures goes further."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from groundwire_index.errors import UnavailableError
from groundwire_server.embedders.embedder import Embeddings, EmbedKind
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.grounding.similarity import EmbeddedSimilarity

from tests.patience import PATIENCE_S

CLAIM = "Private cars are banned after dark because headlights interfere with observing."
SAME = "The road is closed to cars at night, because their headlights disturb the observations."
OTHER = "Eight per cent of all nights are kept as director's time."


@pytest.fixture(scope="module")
async def embedder() -> AsyncIterator[SentenceTransformersEmbedder]:
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2")
    await embedder.start()
    yield embedder
    await embedder.close()


class Narrow:
    """An embedder whose vectors all point nearly the same way, as those of some models do."""

    def __init__(self, embedder: SentenceTransformersEmbedder) -> None:
        self._embedder = embedder

    async def embed(self, texts: Sequence[str], kind: EmbedKind) -> Embeddings:
        answer = await self._embedder.embed(texts, kind)
        vectors = np.hstack([0.5 * answer.vectors, np.full((len(texts), 1), 0.75**0.5)])
        return Embeddings(vectors.astype(np.float32), answer.token_counts, answer.truncated)


class Failing:
    """An embedder that has stopped."""

    async def embed(self, texts: Sequence[str], kind: EmbedKind) -> Embeddings:
        raise UnavailableError("the embedder is stopping", reason="STOPPING")


class Broken:
    """An embedder whose model raises what models raise."""

    async def embed(self, texts: Sequence[str], kind: EmbedKind) -> Embeddings:
        raise RuntimeError("CUDA out of memory")


class Stuck:
    """An embedder that never answers."""

    async def embed(self, texts: Sequence[str], kind: EmbedKind) -> Embeddings:
        await asyncio.Event().wait()
        raise AssertionError


async def test_it_tells_what_means_the_same_from_what_does_not(
    embedder: SentenceTransformersEmbedder,
) -> None:
    similarity = EmbeddedSimilarity(embedder, longest_wait_s=PATIENCE_S)
    for _ in range(2):
        told = await similarity.of(CLAIM, [SAME, OTHER, CLAIM])
        assert told is not None
        same, other, itself = told
        assert same > 0.6
        assert other < 0.3
        assert itself == pytest.approx(1, abs=0.01)


async def test_its_scale_does_not_depend_on_the_model(
    embedder: SentenceTransformersEmbedder,
) -> None:
    texts = [SAME, OTHER]
    wide = await EmbeddedSimilarity(embedder, longest_wait_s=PATIENCE_S).of(CLAIM, texts)
    narrow = await EmbeddedSimilarity(Narrow(embedder), longest_wait_s=PATIENCE_S).of(CLAIM, texts)
    assert narrow == pytest.approx(wide, abs=0.02)


@pytest.mark.parametrize("embedder", [Failing(), Broken()])
async def test_an_embedder_that_fails_tells_nothing(embedder: Failing | Broken) -> None:
    assert await EmbeddedSimilarity(embedder, longest_wait_s=PATIENCE_S).of(CLAIM, [SAME]) is None


async def test_an_embedder_that_does_not_answer_is_not_waited_for() -> None:
    assert await EmbeddedSimilarity(Stuck(), longest_wait_s=0).of(CLAIM, [SAME]) is None


async def test_whoever_gives_up_is_no_failure_of_the_embedder() -> None:
    asked = asyncio.ensure_future(EmbeddedSimilarity(Stuck()).of(CLAIM, [SAME]))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
