"""A pooling model on a real vLLM, with the built-in weights."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from groundwire_index.errors import FailedPreconditionError, UnavailableError
from groundwire_server.embedders.embedder import (
    Embedder,
    EmbedKind,
    Priority,
    TextTooLongError,
    Truncation,
)
from groundwire_server.embedders.matryoshka import shortened
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.embedders.supervised import SupervisedEmbedder
from groundwire_server.embedders.vllm import VllmEmbedder
from groundwire_server.embedders.weights import built_in_folder
from groundwire_server.waiting import Waiting

pytestmark = pytest.mark.vllm

ARGS = {"enforce_eager": True, "dtype": "float32"}
TEXTS = [
    "The observatory opened in 1961.",
    "Wie spät öffnet die Sternwarte?",
    "望遠鏡 🔭 and é̂",
    "a",
    "word " * 180,
    "The dome opens at dusk. " * 90,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in weights as a model that says it was trained for shorter vectors."""
    folder = shutil.copytree(built_in_folder(), tmp_path_factory.mktemp("models") / "nested")
    config = folder / "config.json"
    config.write_text(
        json.dumps({**json.loads(config.read_text()), "matryoshka_dimensions": [128, 384]})
    )
    return folder


@pytest.fixture(scope="module")
async def embedder(folder: Path) -> AsyncIterator[VllmEmbedder]:
    embedder = VllmEmbedder(str(folder), args=ARGS, passage_prefix="say: ")
    await embedder.start()
    yield embedder
    await embedder.close()


@pytest.fixture(scope="module")
async def in_torch(folder: Path) -> AsyncIterator[SentenceTransformersEmbedder]:
    embedder = SentenceTransformersEmbedder(str(folder), precision="fp32", passage_prefix="say: ")
    await embedder.start()
    yield embedder
    await embedder.close()


async def test_its_vectors_are_those_of_torch(
    embedder: VllmEmbedder, in_torch: SentenceTransformersEmbedder
) -> None:
    for kind in EmbedKind:
        theirs = await embedder.embed(TEXTS, kind)
        ours = await in_torch.embed(TEXTS, kind)
        assert (theirs.vectors * ours.vectors).sum(1).min() > 0.999
        assert (theirs.token_counts, theirs.truncated) == (ours.token_counts, ours.truncated)
    assert np.linalg.norm(theirs.vectors, axis=1) == pytest.approx(1, abs=1e-5)


async def test_a_collection_of_the_one_can_be_searched_by_the_other(
    embedder: VllmEmbedder, in_torch: SentenceTransformersEmbedder
) -> None:
    assert embedder.fingerprint == in_torch.fingerprint
    assert embedder.max_tokens == in_torch.max_tokens
    assert embedder.count_tokens(TEXTS) == in_torch.count_tokens(TEXTS)


async def test_shorter_vectors_are_those_that_the_model_was_trained_for(
    embedder: VllmEmbedder, in_torch: SentenceTransformersEmbedder
) -> None:
    assert list(embedder.shorter_dimensions) == [128]
    theirs = shortened((await embedder.embed(TEXTS, EmbedKind.QUERY)).vectors, 128)
    ours = shortened((await in_torch.embed(TEXTS, EmbedKind.QUERY)).vectors, 128)
    assert (theirs * ours).sum(1).min() > 0.999


async def test_what_must_not_be_cut_is_refused_before_the_model_runs(
    embedder: VllmEmbedder,
) -> None:
    with pytest.raises(TextTooLongError) as caught:
        await embedder.embed(TEXTS, EmbedKind.PASSAGE, truncation=Truncation.NONE)
    assert caught.value.position == len(TEXTS) - 1
    assert caught.value.tokens > embedder.max_tokens
    assert embedder.waiting == Waiting()


async def test_nothing_is_embedded_for_nothing(embedder: VllmEmbedder) -> None:
    assert (await embedder.embed([], EmbedKind.QUERY)).vectors.shape == (0, 384)


async def test_a_caller_that_leaves_takes_its_texts_along(embedder: VllmEmbedder) -> None:
    stored = asyncio.ensure_future(
        embedder.embed(["word " * 200] * 600, EmbedKind.PASSAGE, priority=Priority.INGESTION)
    )
    while not embedder.waiting.requests:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)
    assert embedder.waiting.requests <= 256
    stored.cancel()
    await asyncio.wait([stored])
    assert embedder.waiting == Waiting()
    assert (await embedder.embed(["one"], EmbedKind.QUERY)).vectors.shape == (1, 384)


async def test_a_model_that_is_not_there_is_said_by_its_setting() -> None:
    with pytest.raises(FailedPreconditionError, match="embedder_model"):
        await VllmEmbedder("./no/such/model").start()
    with pytest.raises(FailedPreconditionError, match="embedder_vllm_args"):
        await VllmEmbedder("all-MiniLM-L6-v2", args={"speed": 1}).start()


async def asked_for_ever(embedder: Embedder) -> None:
    while True:
        await embedder.embed(["one"], EmbedKind.QUERY)


async def is_down(embedder: Embedder) -> bool:
    try:
        await embedder.check()
    except UnavailableError:
        return True
    return False


async def test_the_death_of_its_engine_core_is_noticed_and_mended() -> None:
    embedder = SupervisedEmbedder(partial(VllmEmbedder, "all-MiniLM-L6-v2", args=ARGS))
    before = set(psutil.Process().children(recursive=True))
    await embedder.start()
    try:
        assert embedder.fingerprint.model == "all-MiniLM-L6-v2"
        await embedder.check()
        before_death = await embedder.embed(["one"], EmbedKind.QUERY)
        for process in set(psutil.Process().children(recursive=True)) - before:
            process.kill()
        with pytest.raises(UnavailableError):
            await asked_for_ever(embedder)
        with pytest.raises(UnavailableError, match="has died"):
            await embedder.check()
        assert embedder.count_tokens(["the dome"]) == [2]
        while await is_down(embedder):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.1)
        after = await embedder.embed(["one"], EmbedKind.QUERY)
        assert (after.vectors == before_death.vectors).all()
    finally:
        await embedder.close()
