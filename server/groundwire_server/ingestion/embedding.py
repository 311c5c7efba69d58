"""Vectors of many texts, so that the embedder never waits and memory stays bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence

import numpy as np
from numpy.typing import NDArray

from groundwire_server.embedders.embedder import Embedder, Embeddings, EmbedKind, Priority

# Texts in one call: enough for several batches sorted by length, few enough that progress
# shows, and that the queries of others get in between.
_WINDOW = 64
# Calls that wait at the embedder while one runs.
_AHEAD = 2


async def embed_passages(
    embedder: Embedder, texts: Sequence[str]
) -> AsyncGenerator[NDArray[np.float32], None]:
    """Vectors of consecutive stretches of the texts, in order; each of shape (some, dimension)."""
    calls: deque[asyncio.Task[Embeddings]] = deque()
    try:
        for start in range(0, len(texts), _WINDOW):
            window = texts[start : start + _WINDOW]
            embedding = embedder.embed(window, EmbedKind.PASSAGE, priority=Priority.INGESTION)
            calls.append(asyncio.create_task(embedding))
            if len(calls) > _AHEAD:
                yield (await calls.popleft()).vectors
        while calls:
            yield (await calls.popleft()).vectors
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
