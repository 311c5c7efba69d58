"""An embedder that remembers what it has embedded lately."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from groundwire_server.caching.cache import Cache
from groundwire_server.embedders.embedder import (
    Embedder,
    Embeddings,
    EmbedKind,
    Priority,
    TextTooLongError,
    Truncation,
)
from groundwire_server.embedders.wrapped import WrappedEmbedder
from groundwire_server.identity import Identity, current_identity

# Tokens that were read, and whether the text had more; then the vector, float32.
_HEADER = struct.Struct("<I?")
_DIGEST_BYTES = 16


class CachedEmbedder(WrappedEmbedder):
    """An embedder with a cache before it, apart for each tenant.

    A text is known by its digest, what it is for, the fingerprint of the model, and how much that
    reads of it. What is ingested goes past the cache: it is embedded once.
    """

    def __init__(
        self, embedder: Embedder, cache: Cache, on_lookup: Callable[[int, int], None]
    ) -> None:
        """``on_lookup`` is told how many texts were found, and how many were not."""
        super().__init__(embedder)
        self._cache = cache
        self._on_lookup = on_lookup

    async def embed(
        self,
        texts: Sequence[str],
        kind: EmbedKind,
        *,
        priority: Priority = Priority.INTERACTIVE,
        truncation: Truncation = Truncation.END,
    ) -> Embeddings:
        """Embed a batch; all or none. See `Embedder`."""
        if priority is Priority.INGESTION:
            return await super().embed(texts, kind, priority=priority, truncation=truncation)
        tenant = current_identity.get(Identity()).tenant
        names = self._names(texts, kind)
        known = [
            _decoded(value, self.fingerprint.dimension)
            for value in await self._cache.get(tenant, names)
        ]
        missing = [
            position
            for position, one in enumerate(known)
            # One that must not be cut is refused by the embedder, which knows its length.
            if one is None or (one.truncated and truncation is Truncation.NONE)
        ]
        self._on_lookup(len(texts) - len(missing), len(missing))
        if missing:
            try:
                fresh = await self._embedder.embed(
                    [texts[position] for position in missing],
                    kind,
                    priority=priority,
                    truncation=truncation,
                )
            except TextTooLongError as error:
                raise TextTooLongError(
                    missing[error.position], error.tokens, error.max_tokens
                ) from error
            found = dict(zip(missing, _each(fresh), strict=True))
            await self._cache.put(
                tenant, {names[position]: one.encoded() for position, one in found.items()}
            )
            known = [found.get(position, one) for position, one in enumerate(known)]
        return _together([one for one in known if one is not None])

    def _names(self, texts: Sequence[str], kind: EmbedKind) -> list[bytes]:
        embedder = self._embedder
        of = repr((kind.value, astuple(embedder.fingerprint), embedder.max_tokens)).encode()
        model = hashlib.blake2b(of, digest_size=_DIGEST_BYTES).digest()
        return [
            hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES, key=model).digest()
            for text in texts
        ]


class _Embedding:
    """One text's."""

    __slots__ = ("token_count", "truncated", "vector")

    def __init__(self, vector: NDArray[np.float32], token_count: int, truncated: bool) -> None:
        self.vector = vector
        self.token_count = token_count
        self.truncated = truncated

    def encoded(self) -> bytes:
        return _HEADER.pack(self.token_count, self.truncated) + self.vector.tobytes()


def _decoded(value: bytes | None, dimension: int) -> _Embedding | None:
    """What `encoded` made; None for anything else, which someone else has put there."""
    if value is None or len(value) != _HEADER.size + 4 * dimension:
        return None
    token_count, truncated = _HEADER.unpack_from(value)
    return _Embedding(np.frombuffer(value, np.float32, offset=_HEADER.size), token_count, truncated)


def _each(embeddings: Embeddings) -> list[_Embedding]:
    return [
        _Embedding(vector, tokens, truncated)
        for vector, tokens, truncated in zip(
            embeddings.vectors, embeddings.token_counts, embeddings.truncated, strict=True
        )
    ]


def _together(known: Sequence[_Embedding]) -> Embeddings:
    return Embeddings(
        np.stack([one.vector for one in known]),
        tuple(one.token_count for one in known),
        tuple(one.truncated for one in known),
    )
