"""This server, in a process of its own, through its client."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import groundwire

from tests.bench.search_targets.corpus import Below, Corpus
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
        self.data = Path(self._stack.enter_context(tempfile.TemporaryDirectory())) / "data"
        server = self._stack.enter_context(ServerProcess(self.data))
        self.address = server.address
        client = groundwire.AsyncClient(server.address)
        self.client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def fill(self, corpus: Corpus) -> None:
        """Upsert in batches, some at a time; each is on disk when it is acknowledged."""
        await self.create(corpus)
        await self.store(corpus, range(len(corpus.vectors)))

    async def create(self, corpus: Corpus) -> None:
        """Make the collection."""
        await self.client.retrieve.create_collection(
            COLLECTION, embedder="none", dimension=corpus.vectors.shape[1]
        )

    async def store(self, corpus: Corpus, rows: range) -> None:
        """Upsert some of the rows."""
        await store(self.client, corpus, rows)

    async def search(self, query: Vector, top_k: int, where: Below | None) -> list[int]:
        """Search by vector."""
        options = {} if where is None else {"filter": _filter(where)}
        found = await self.client.retrieve.search(COLLECTION, query, top_k=top_k, **options)
        return [int(hit.id) for hit in found.hits]


async def store(client: groundwire.AsyncClient, corpus: Corpus, rows: range) -> None:
    """Upsert some of the rows, by so many writers at once."""
    starts = rows[::BATCH]
    await asyncio.gather(
        *(_write(client, corpus, starts[number::WRITERS]) for number in range(WRITERS))
    )


async def _write(client: groundwire.AsyncClient, corpus: Corpus, starts: Sequence[int]) -> None:
    for start in starts:
        rows = range(start, min(start + BATCH, len(corpus.vectors)))
        await client.retrieve.upsert(COLLECTION, [_record(corpus, row) for row in rows])


def _record(corpus: Corpus, row: int) -> groundwire.Record:
    return groundwire.Record(
        str(row),
        vector=corpus.vectors[row],
        text=corpus.texts[row],
        metadata=corpus.metadata(row),
    )


def _filter(where: Below) -> groundwire.Filter:
    return groundwire.where(where.field).lt(where.bound)
