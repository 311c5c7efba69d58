"""An embedder whose work is noted for the calls that it does it for."""

from __future__ import annotations

from collections.abc import Sequence

from groundwire_server.embedders.embedder import Embeddings, EmbedKind, Priority, Truncation
from groundwire_server.embedders.wrapped import WrappedEmbedder
from groundwire_server.usage.call import current_usage


class NotedEmbedder(WrappedEmbedder):
    """Notes the tokens of what it has embedded."""

    async def embed(
        self,
        texts: Sequence[str],
        kind: EmbedKind,
        *,
        priority: Priority = Priority.INTERACTIVE,
        truncation: Truncation = Truncation.END,
    ) -> Embeddings:
        """Embed a batch; all or none. See `Embedder`."""
        embeddings = await super().embed(texts, kind, priority=priority, truncation=truncation)
        current_usage().embedded(self.fingerprint.model, sum(embeddings.token_counts))
        return embeddings
