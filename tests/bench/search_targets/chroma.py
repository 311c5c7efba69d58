"""Chroma's own server, in a process of its own, through its client."""

from __future__ import annotations

import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import chromadb
from chromadb.config import Settings

from tests.bench.search_targets.corpus import Below, Corpus
from tests.bench.search_targets.target import Vector
from tests.e2e.chroma import chroma_server

COLLECTION = "bench"
BATCH = 1000


class Chroma:
    """Add and query as its users call them, with its defaults but for the metric."""

    name = "chroma"

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        url = urlsplit(self._stack.enter_context(chroma_server(Path(folder))))
        client = await chromadb.AsyncHttpClient(
            host=url.hostname or "",
            port=url.port or 0,
            settings=Settings(anonymized_telemetry=False),
        )
        self._collection = await client.create_collection(
            COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def fill(self, corpus: Corpus) -> None:
        """Add in batches, one after the other."""
        for start in range(0, len(corpus.vectors), BATCH):
            rows = range(start, min(start + BATCH, len(corpus.vectors)))
            await self._collection.add(
                ids=[str(row) for row in rows],
                embeddings=corpus.vectors[rows.start : rows.stop],
                documents=[corpus.texts[row] for row in rows],
                metadatas=[corpus.metadata(row) for row in rows],
            )

    async def search(self, query: Vector, top_k: int, where: Below | None) -> list[int]:
        """Query by vector, for texts and metadata."""
        found = await self._collection.query(
            query_embeddings=query,
            n_results=top_k,
            where=None if where is None else {where.field: {"$lt": where.bound}},
            include=["documents", "metadatas", "distances"],
        )
        return [int(one) for one in found["ids"][0]]
