"""This server, in a process of its own, through its client."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import groundwire

from tests.bench.search_targets.corpus import Corpus
from tests.bench.search_targets.target import Vector
from tests.e2e.serving import ServerProcess

COLLECTION = "bench"
BATCH = 1000
WRITERS = 2


class GroundwireServer:
    """Upsert and Search as any client calls them: answers carry texts and metadata."""

    name = "groundwire"

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        server = self._stack.enter_context(ServerProcess(Path(folder) / "data"))
        client = groundwire.AsyncClient(server.address)
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def fill(self, corpus: Corpus) -> None:
        """Upsert in batches, some at a time; each is on disk when it is acknowledged."""
        await self._client.retrieve.create_collection(
            COLLECTION, embedder="none", dimension=corpus.vectors.shape[1]
        )
        starts = range(0, len(corpus.vectors), BATCH)
        await asyncio.gather(
            *(self._write(corpus, starts[number::WRITERS]) for number in range(WRITERS))
        )

    async def search(self, query: Vector, top_k: int, shelf: int | None) -> list[int]:
        """Search by vector."""
        options = {} if shelf is None else {"filter": groundwire.where("shelf").eq(shelf)}
        found = await self._client.retrieve.search(COLLECTION, query, top_k=top_k, **options)
        return [int(hit.id) for hit in found.hits]

    async def _write(self, corpus: Corpus, starts: Sequence[int]) -> None:
        for start in starts:
            rows = range(start, min(start + BATCH, len(corpus.vectors)))
            await self._client.retrieve.upsert(COLLECTION, [_record(corpus, row) for row in rows])


def _record(corpus: Corpus, row: int) -> groundwire.Record:
    metadata = {"shelf": corpus.shelf(row), "year": corpus.year(row)}
    return groundwire.Record(
        str(row), vector=corpus.vectors[row], text=corpus.texts[row], metadata=metadata
    )
