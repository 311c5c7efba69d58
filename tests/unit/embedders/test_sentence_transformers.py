"""Both encoders, with real weights, against what sentence-transformers itself computes."""

from __future__ import annotations

import asyncio
import json
import shutil
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groundwire_index.errors import FailedPreconditionError, UnavailableError
from groundwire_server.blocking import run_blocking
from groundwire_server.embedders.embedder import (
    Embedder,
    EmbedKind,
    Priority,
    TextTooLongError,
    Truncation,
)
from groundwire_server.embedders.precision import Precision
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.embedders.weights import built_in_folder

from tests.patience import PATIENCE_S

TEXTS = [
    "The observatory opened in 1961.",
    "Wie spät öffnet die Sternwarte?",
    "望遠鏡 🔭 and é̂ and \u200b and ﬁ",
    "a",
    "word " * 180,
    "long " * 700,
    "x" * 300,
]


@pytest.fixture(scope="module")
def library() -> Any:
    """sentence-transformers on the same weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(built_in_folder()), device="cpu")


@pytest.fixture(scope="module")
def prompted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same weights that publishes prompts."""
    folder = shutil.copytree(built_in_folder(), tmp_path_factory.mktemp("models") / "prompted")
    config = folder / "config_sentence_transformers.json"
    described = json.loads(config.read_text())
    described["prompts"] = {"query": "query: ", "document": "passage: "}
    config.write_text(json.dumps(described))
    return folder


@pytest.fixture(scope="module")
async def from_folder(prompted_folder: Path) -> AsyncIterator[SentenceTransformersEmbedder]:
    embedder = SentenceTransformersEmbedder(str(prompted_folder), precision="fp32")
    await embedder.start()
    yield embedder
    await embedder.close()


@pytest.fixture(scope="module")
def nested_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same weights that says how far its vectors are and may be cut."""
    folder = shutil.copytree(built_in_folder(), tmp_path_factory.mktemp("models") / "nested")
    for name, said in (
        ("config.json", {"matryoshka_dimensions": [384, 256, 128, 64]}),
        ("config_sentence_transformers.json", {"truncate_dim": 256}),
    ):
        described = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(described | said))
    return folder


def cosines(left: Any, right: Any) -> Any:
    return (np.asarray(left) * np.asarray(right)).sum(axis=1)


async def test_the_built_in_model_computes_what_the_library_computes(
    embedder: Embedder, library: Any
) -> None:
    ours = await embedder.embed(TEXTS, EmbedKind.PASSAGE)

    assert cosines(ours.vectors, library.encode(TEXTS)).min() > 0.9999
    assert ours.vectors.dtype == np.float32


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
async def test_in_half_precision_it_computes_nearly_the_same(
    embedder: Embedder, precision: Precision
) -> None:
    half = SentenceTransformersEmbedder("all-MiniLM-L6-v2", precision=precision)
    await half.start()
    ours = await half.embed(TEXTS, EmbedKind.PASSAGE)
    await half.close()
    whole = await embedder.embed(TEXTS, EmbedKind.PASSAGE)

    assert cosines(ours.vectors, whole.vectors).min() > 0.999
    assert ours.vectors.dtype == np.float32


async def test_a_folder_computes_what_the_library_computes_with_its_prompts(
    from_folder: Embedder, library: Any
) -> None:
    for kind, prefix in ((EmbedKind.QUERY, "query: "), (EmbedKind.PASSAGE, "passage: ")):
        ours = await from_folder.embed(TEXTS, kind)
        theirs = library.encode([prefix + text for text in TEXTS])
        assert cosines(ours.vectors, theirs).min() > 0.9999


async def test_a_folder_reads_texts_while_it_embeds_others(from_folder: Embedder) -> None:
    texts = [*TEXTS, *(f"{one} " * 40 for one in TEXTS)]
    alone = await from_folder.embed(texts, EmbedKind.PASSAGE)
    counts = from_folder.count_tokens(texts)

    async def counted() -> None:
        for _ in range(40):
            assert await run_blocking(from_folder.count_tokens, texts) == counts

    async def embedded() -> None:
        for _ in range(3):
            again = await from_folder.embed(texts, EmbedKind.PASSAGE)
            assert again.token_counts == alone.token_counts
            assert cosines(again.vectors, alone.vectors).min() > 0.999

    async with asyncio.TaskGroup() as group:
        for work in (counted(), counted(), embedded(), embedded()):
            group.create_task(work)


async def test_a_folder_says_how_far_its_vectors_are_and_may_be_cut(
    nested_folder: Path, library: Any
) -> None:
    embedder = SentenceTransformersEmbedder(str(nested_folder), precision="fp32")
    await embedder.start()
    ours = (await embedder.embed(TEXTS, EmbedKind.PASSAGE)).vectors
    await embedder.close()

    assert (embedder.fingerprint.dimension, list(embedder.shorter_dimensions)) == (256, [64, 128])
    theirs = library.encode(TEXTS, truncate_dim=256)
    assert cosines(ours, theirs / np.linalg.norm(theirs, axis=1, keepdims=True)).min() > 0.9999


async def test_a_text_that_must_not_be_cut_is_refused_with_its_tokens(
    embedder: Embedder, from_folder: Embedder
) -> None:
    for one, tokens in ((embedder, 5_002), (from_folder, 5_004)):
        with pytest.raises(TextTooLongError) as caught:
            await one.embed(
                ["dome", "word " * 5_000], EmbedKind.PASSAGE, truncation=Truncation.NONE
            )
        error = caught.value
        assert (error.position, error.tokens, error.max_tokens) == (1, tokens, 256)


async def test_vectors_do_not_depend_on_company(embedder: Embedder) -> None:
    alone = [(await embedder.embed([text], EmbedKind.PASSAGE)).vectors[0] for text in TEXTS]
    crowd = await asyncio.gather(*(embedder.embed([text], EmbedKind.PASSAGE) for text in TEXTS * 8))

    assert cosines([one.vectors[0] for one in crowd], alone * 8).min() > 0.9999


@pytest.mark.parametrize("priority", [Priority.INTERACTIVE, Priority.INGESTION])
async def test_a_few_texts_do_not_wait_for_many(embedder: Embedder, priority: Priority) -> None:
    many = asyncio.create_task(embedder.embed(TEXTS * 16, EmbedKind.PASSAGE, priority=priority))
    async with asyncio.timeout(PATIENCE_S):
        while not embedder.waiting.tokens:
            await embedder.embed(["dome"], EmbedKind.QUERY)

    await embedder.embed(["dome"], EmbedKind.PASSAGE)

    assert embedder.waiting.tokens
    await many


async def test_vectors_have_unit_length(embedder: Embedder, from_folder: Embedder) -> None:
    for one in (embedder, from_folder):
        vectors = (await one.embed(TEXTS, EmbedKind.QUERY)).vectors
        assert vectors.shape == (len(TEXTS), one.fingerprint.dimension)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("words", [253, 254, 255, 5_000])
async def test_truncation_is_reported_at_the_limit(
    embedder: Embedder, from_folder: Embedder, words: int
) -> None:
    text = "word " * words
    built_in = await embedder.embed([text], EmbedKind.PASSAGE)
    # Its prefix is two tokens of the limit.
    folder = await from_folder.embed(["word " * (words - 2)], EmbedKind.PASSAGE)

    assert built_in.truncated == folder.truncated == (words > 254,)
    assert built_in.token_counts == folder.token_counts == (min(words + 2, 256),)


async def test_the_start_of_a_huge_text_is_read_as_if_it_were_all(embedder: Embedder) -> None:
    start = "a tale of three telescopes, " * 60
    huge, whole = await asyncio.gather(
        embedder.embed([(start * 1000)[: 2**20]], EmbedKind.PASSAGE),
        embedder.embed([start], EmbedKind.PASSAGE),
    )
    blank = await embedder.embed([" " * 100_000 + "telescope"], EmbedKind.PASSAGE)

    assert huge.truncated == whole.truncated == (True,)
    assert cosines(huge.vectors, whole.vectors)[0] > 0.9999
    assert blank.token_counts == (3,)


async def test_a_prefix_is_put_before_each_text(embedder: Embedder) -> None:
    prefixed = SentenceTransformersEmbedder("all-MiniLM-L6-v2", query_prefix="query: ")
    await prefixed.start()

    query, passage = [
        (await prefixed.embed(["dome"], kind)).vectors
        for kind in (EmbedKind.QUERY, EmbedKind.PASSAGE)
    ]
    expected = (await embedder.embed(["query: dome", "dome"], EmbedKind.PASSAGE)).vectors
    await prefixed.close()

    assert cosines(query, expected[:1])[0] > 0.9999
    assert cosines(passage, expected[1:])[0] > 0.9999
    assert prefixed.fingerprint != embedder.fingerprint
    assert prefixed.fingerprint.query_prefix == "query: "


async def test_a_fingerprint_names_what_made_the_vectors(
    embedder: Embedder, from_folder: Embedder
) -> None:
    built_in, folder = embedder.fingerprint, from_folder.fingerprint

    assert (built_in.model, built_in.dimension, built_in.pooling) == (
        "all-MiniLM-L6-v2",
        384,
        "mean",
    )
    assert built_in.normalized
    assert (folder.model, folder.dimension, folder.pooling) == ("prompted", 384, "mean")
    assert (folder.query_prefix, folder.passage_prefix) == ("query: ", "passage: ")
    assert len(built_in.revision) == len(folder.revision) == 64
    assert embedder.max_tokens == from_folder.max_tokens == 256


async def test_tokens_are_counted_without_special_ones_and_without_a_limit(
    embedder: Embedder, from_folder: Embedder
) -> None:
    texts = ["", "dome", "word " * 1000, "unbelievable"]
    counts = embedder.count_tokens(texts)

    assert counts[:3] == [0, 1, 1000]
    assert from_folder.count_tokens(texts) == counts
    assert embedder.count_tokens([]) == from_folder.count_tokens([]) == []


async def test_tokens_can_be_counted_from_many_threads(embedder: Embedder) -> None:
    counted = await asyncio.gather(
        *(asyncio.to_thread(embedder.count_tokens, [f"word {n} " * n]) for n in range(1, 40))
    )

    assert counted == [embedder.count_tokens([f"word {n} " * n]) for n in range(1, 40)]


async def test_nothing_to_embed_gives_nothing(embedder: Embedder) -> None:
    nothing = await embedder.embed([], EmbedKind.QUERY)

    assert nothing.vectors.shape == (0, 384)
    assert nothing.token_counts == nothing.truncated == ()


async def test_before_the_start_and_after_the_end_it_is_unavailable() -> None:
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2")
    with pytest.raises(UnavailableError, match="starting"):
        await embedder.embed(["dome"], EmbedKind.QUERY)
    with pytest.raises(UnavailableError):
        _ = embedder.fingerprint
    await embedder.close()

    await embedder.start()
    await embedder.close()
    await embedder.close()
    with pytest.raises(UnavailableError, match="stopping"):
        await embedder.embed(["dome"], EmbedKind.QUERY)


async def test_a_model_that_is_not_there_says_what_to_set(tmp_path: Path) -> None:
    embedder = SentenceTransformersEmbedder(str(tmp_path / "no" / "such" / "model"))

    with pytest.raises(FailedPreconditionError, match="embedder_model"):
        await embedder.start()
