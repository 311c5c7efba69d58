from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.engines.extractive import ExtractiveEngine


@pytest.fixture(scope="session")
async def extractive() -> AsyncIterator[ExtractiveEngine]:
    """The extractive engine on the built-in embedder, with its real weights."""
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2", precision="fp32")
    await embedder.start()
    yield ExtractiveEngine(embedder)
    await embedder.close()
