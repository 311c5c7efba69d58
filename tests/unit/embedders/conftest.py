from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder


@pytest.fixture(scope="session")
async def embedder() -> AsyncIterator[SentenceTransformersEmbedder]:
    """The built-in model, with its real weights."""
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2", precision="fp32")
    await embedder.start()
    yield embedder
    await embedder.close()
