"""Ten megabytes of text: all of it is stored, and little of it is on its way at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_server.embedders.embedder import Embeddings, EmbedKind

from tests.unit.retrieve.letters import LettersEmbedder
from tests.unit.retrieve.serving import serving

SIZE = 10 * 2**20
LARGEST_CHUNK = 254


class Busy(LettersEmbedder):
    """Fast; knows how many texts it was given at once, at most, and how many in all."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = self.total = 0

    async def embed(self, texts: Sequence[str], kind: EmbedKind, **options: Any) -> Embeddings:
        self.now += len(texts)
        self.total += len(texts)
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= len(texts)
        dimension = self.fingerprint.dimension
        vectors = np.full((len(texts), dimension), dimension**-0.5, np.float32)
        return Embeddings(vectors, tuple(self.count_tokens(texts)), (False,) * len(texts))


def _text() -> bytes:
    """Paragraphs of 60 words, each with a number of its own."""
    paragraphs = (f"Reading {number}. " + "The dome was open. " * 15 for number in range(35_000))
    text = "\n\n".join(paragraphs).encode()
    assert len(text) >= SIZE
    return text[:SIZE]


async def test_ten_megabytes_of_text_are_ingested_with_progress_all_the_way(
    tmp_path: Path,
) -> None:
    embedder = Busy()
    async with serving(tmp_path, embedder, max_document_bytes=2 * SIZE) as served:
        await served.create()
        events = await served.ingest(_text(), chunking=pb.Chunking(max_tokens=LARGEST_CHUNK))
        chunks = events[-1].result.chunks
        assert chunks > SIZE / (LARGEST_CHUNK * 8)
        assert await served.count() == embedder.total == chunks
    done = [
        event.progress.done for event in events if event.progress.stage == pb.INGEST_STAGE_EMBEDDED
    ]
    assert done == sorted(done)
    steps = [after - before for before, after in zip([0, *done], done, strict=False)]
    assert max(steps) <= 64
    assert embedder.most <= 3 * 64
