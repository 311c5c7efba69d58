"""The embedder of another server: vLLM's own for the OpenAI API, with the built-in weights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import groundwire
import numpy as np
import pytest
from groundwire_server.embedders.embedder import EmbedKind, TextTooLongError, Truncation
from groundwire_server.embedders.remote import RemoteEmbedder
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.embedders.weights import built_in_folder

from tests.e2e.generate.vllm_servers import FEWER_PROCESSES, HTTP, KEY, vllm_server
from tests.e2e.serving import ServerProcess

pytestmark = pytest.mark.vllm

MODEL = "minilm"
TEXTS = [
    "The observatory opened in 1961.",
    "Wie spät öffnet die Sternwarte?",
    "望遠鏡 🔭 and é̂",
    "a",
    "word " * 180,
    "The dome opens at dusk. " * 90,
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    flags = ("--runner", "pooling", "--served-model-name", MODEL, "--api-key", KEY)
    model = ("--model", str(built_in_folder()), "--enforce-eager")
    with vllm_server(HTTP, *flags, *model, env=FEWER_PROCESSES) as port:
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture(scope="module")
async def remote(url: str) -> AsyncIterator[RemoteEmbedder]:
    embedder = RemoteEmbedder(url, MODEL, api_key=KEY)
    await embedder.start()
    yield embedder
    await embedder.close()


@pytest.fixture(scope="module")
async def built_in() -> AsyncIterator[SentenceTransformersEmbedder]:
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2", precision="fp32")
    await embedder.start()
    yield embedder
    await embedder.close()


async def test_its_vectors_are_those_of_the_same_weights_here(
    remote: RemoteEmbedder, built_in: SentenceTransformersEmbedder
) -> None:
    await remote.check()
    assert remote.max_tokens == built_in.max_tokens
    theirs = await remote.embed(TEXTS, EmbedKind.PASSAGE)
    ours = await built_in.embed(TEXTS, EmbedKind.PASSAGE)
    assert (theirs.vectors * ours.vectors).sum(1).min() > 0.999
    assert np.linalg.norm(theirs.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert theirs.truncated == ours.truncated
    assert theirs.token_counts[-1] == ours.token_counts[-1] == remote.max_tokens


async def test_what_must_not_be_cut_is_refused_with_its_length(remote: RemoteEmbedder) -> None:
    with pytest.raises(TextTooLongError) as caught:
        await remote.embed(TEXTS, EmbedKind.PASSAGE, truncation=Truncation.NONE)
    assert caught.value.position == len(TEXTS) - 1
    assert caught.value.tokens > remote.max_tokens


async def test_a_server_ingests_and_searches_with_it(url: str, tmp_path: Path) -> None:
    flags = ("--embedder-url", url, "--embedder-model", MODEL, "--embedder-api-key", KEY)
    tokenizer = ("--embedder-tokenizer", str(built_in_folder()))
    with ServerProcess(tmp_path / "data", *flags, *tokenizer) as server:
        async with groundwire.AsyncClient(server.address) as client:
            await client.retrieve.create_collection("notes")
            await client.retrieve.upsert(
                "notes", [groundwire.Record(str(at), text=text) for at, text in enumerate(TEXTS)]
            )
            found = await client.retrieve.search("notes", "When was it opened?", top_k=1)
    assert [hit.id for hit in found.hits] == ["0"]
