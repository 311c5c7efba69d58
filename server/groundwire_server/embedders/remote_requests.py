"""Requests for vectors to a server of the OpenAI API, of bounded size and number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from groundwire_server.embedders.batcher import Batch
from groundwire_server.embedders.embedder import Priority
from groundwire_server.embedders.remote_answer import vectors_of
from groundwire_server.waiting import Waiting

if TYPE_CHECKING:
    from groundwire_server.engines.openai_http import OpenAiServer

# One request: as many as a server puts into a batch or two, few enough that others get between.
_BATCH_TEXTS = 64
_BATCH_TOKENS = 2**14
# Requests under way, and those of them that nobody waits for.
_REQUESTS = 64
_LATER_REQUESTS = 4
_PROBE = "How long is a vector?"


class EmbeddingRequests:
    """Those of all callers, for one model."""

    def __init__(
        self, model: str, on_batch: Callable[[Batch], object], clock: Callable[[], float]
    ) -> None:
        """``on_batch`` is told of each request that was answered."""
        self._model = model
        self._on_batch = on_batch
        self._clock = clock
        self._all = asyncio.Semaphore(_REQUESTS)
        self._later = asyncio.Semaphore(_LATER_REQUESTS)
        # Tokens of each call that have not been sent.
        self._unsent: dict[object, int] = {}

    @property
    def waiting(self) -> Waiting:
        """Calls with texts that have not been sent, and the tokens of these."""
        unsent = [tokens for tokens in self._unsent.values() if tokens]
        return Waiting(len(unsent), sum(unsent))

    async def dimension(self, server: OpenAiServer) -> int:
        """How long the model's vectors are."""
        answer = await server.post("/embeddings", self._body([_PROBE]))
        return int(vectors_of(answer, 1, None, server.url).shape[1])

    async def vectors(
        self,
        server: OpenAiServer,
        texts: Sequence[str],
        counts: Sequence[int],
        dimension: int,
        *,
        options: Mapping[str, Any],
        priority: Priority,
    ) -> NDArray[np.float32]:
        """Unit vectors, shape (texts, dimension); all or none. ``counts`` are tokens of each."""
        vectors = np.empty((len(texts), dimension), np.float32)
        call = object()
        called = self._clock()
        waited: list[float] = []

        async def ask(rows: Sequence[int]) -> None:
            async with self._turn(priority):
                began = self._clock()
                first = () if waited else (began - called,)
                waited.extend(first)
                tokens = sum(counts[row] for row in rows)
                self._unsent[call] -= tokens
                body = {**self._body([texts[row] for row in rows]), **options}
                answer = await server.post("/embeddings", body)
                vectors[rows] = vectors_of(answer, len(rows), dimension, server.url)
                self._on_batch(Batch(len(rows), tokens, self._clock() - began, first))

        self._unsent[call] = sum(counts)
        try:
            async with asyncio.TaskGroup() as group:
                for rows in _batches(counts):
                    group.create_task(ask(rows))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            del self._unsent[call]
        return vectors

    @asynccontextmanager
    async def _turn(self, priority: Priority) -> AsyncIterator[None]:
        """A place among the requests; of what nobody waits for, a few are under way at once."""
        if priority is Priority.INTERACTIVE:
            async with self._all:
                yield
        else:
            async with self._later, self._all:
                yield

    def _body(self, texts: Sequence[str]) -> dict[str, Any]:
        return {"model": self._model, "input": list(texts), "encoding_format": "float"}


def _batches(counts: Sequence[int]) -> Iterator[list[int]]:
    """Rows of texts, the longest first, in batches of bounded size."""
    batch: list[int] = []
    tokens = 0
    for row in sorted(range(len(counts)), key=lambda row: -counts[row]):
        if batch and (len(batch) == _BATCH_TEXTS or tokens + counts[row] > _BATCH_TOKENS):
            yield batch
            batch, tokens = [], 0
        batch.append(row)
        tokens += counts[row]
    if batch:
        yield batch
