"""The embedder that server and tests use: any sentence-transformers model."""

from __future__ import annotations

from collections.abc import Sequence

from groundwire_index.errors import UnavailableError
from groundwire_index.records import Fingerprint

from groundwire_server.embedders.embedder import EmbedKind, Embeddings


class SentenceTransformersEmbedder:
    """A sentence-transformers model by name or folder; "all-MiniLM-L6-v2" needs no hub."""

    def __init__(
        self,
        model: str,
        *,
        precision: str = "auto",
        query_prefix: str = "",
        passage_prefix: str = "",
        batch_tokens: int = 4096,
    ) -> None:
        self._model = model
        self._precision = precision
        self._query_prefix = query_prefix
        self._passage_prefix = passage_prefix
        self._batch_tokens = batch_tokens

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors may be compared with. Known after `start`."""
        raise self._not_started()

    @property
    def max_tokens(self) -> int:
        """Longest text in tokens, special tokens included."""
        raise self._not_started()

    async def start(self) -> None:
        """Load the model."""
        raise self._not_started()

    async def embed(self, texts: Sequence[str], kind: EmbedKind) -> Embeddings:
        """Embed a batch; all or none."""
        raise self._not_started()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count tokens without special ones and without truncation."""
        raise self._not_started()

    async def close(self) -> None:
        """Stop. Idempotent."""

    def _not_started(self) -> UnavailableError:
        return UnavailableError(f'the embedder "{self._model}" is not started')
