"""Embedders that stand before another one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from groundwire_index.records import Fingerprint

from groundwire_server.embedders.embedder import (
    Embedder,
    Embeddings,
    EmbedKind,
    Priority,
    Truncation,
)
from groundwire_server.waiting import Waiting


class DelegatingEmbedder(ABC):
    """Is as the one behind it, and starts and ends with it."""

    @property
    @abstractmethod
    def _embedder(self) -> Embedder:
        """The one behind it."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the embedder."""
        return self._embedder.fingerprint

    @property
    def max_tokens(self) -> int:
        """Of the embedder."""
        return self._embedder.max_tokens

    @property
    def shorter_dimensions(self) -> Sequence[int]:
        """Of the embedder."""
        return self._embedder.shorter_dimensions

    @property
    def waiting(self) -> Waiting:
        """Of the embedder."""
        return self._embedder.waiting

    async def start(self) -> None:
        """Start the embedder."""
        await self._embedder.start()

    async def embed(
        self,
        texts: Sequence[str],
        kind: EmbedKind,
        *,
        priority: Priority = Priority.INTERACTIVE,
        truncation: Truncation = Truncation.END,
    ) -> Embeddings:
        """Embed a batch; all or none. See `Embedder`."""
        return await self._embedder.embed(texts, kind, priority=priority, truncation=truncation)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """As the embedder counts them."""
        return self._embedder.count_tokens(texts)

    async def check(self) -> None:
        """Check the embedder."""
        await self._embedder.check()

    async def close(self) -> None:
        """Close the embedder."""
        await self._embedder.close()


class WrappedEmbedder(DelegatingEmbedder):
    """One whose embedder is always the same, which it may share with others."""

    def __init__(self, embedder: Embedder) -> None:
        self._behind = embedder

    @property
    def _embedder(self) -> Embedder:
        return self._behind
