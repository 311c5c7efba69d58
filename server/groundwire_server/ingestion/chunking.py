"""How a document is cut: the server's sizes, unless the request has its own."""

from __future__ import annotations

from dataclasses import dataclass

from groundwire_index.errors import InvalidArgumentError

from groundwire_server.embedders.embedder import Embedder

_MIN_TOKENS = 16
# Around a text the model reads one special token before and one after.
_SPECIAL_TOKENS = 2


@dataclass(frozen=True, slots=True)
class Chunking:
    """Sizes in tokens of the embedder's tokenizer, special ones not counted."""

    max_tokens: int
    overlap_tokens: int


def largest_chunk(embedder: Embedder) -> int:
    """Tokens of the longest chunk that the embedder reads to its end. Blocking."""
    (prefix,) = embedder.count_tokens([embedder.fingerprint.passage_prefix])
    return embedder.max_tokens - _SPECIAL_TOKENS - prefix


def chunking_of(
    max_tokens: int | None, overlap_tokens: int | None, *, default: Chunking, limit: int
) -> Chunking:
    """The requested sizes, checked; for those absent the default, as far as it fits.

    Raises InvalidArgumentError for sizes that are not 16 to ``limit``, and for an overlap of
    half a chunk or more.
    """
    size = min(default.max_tokens, limit) if max_tokens is None else max_tokens
    if not _MIN_TOKENS <= size <= limit:
        raise InvalidArgumentError(
            "chunking.max_tokens",
            f"{size:,} is not allowed: {_MIN_TOKENS} to {limit:,}, which the embedder reads",
        )
    largest_overlap = (size - 1) // 2
    if overlap_tokens is None:
        return Chunking(size, min(default.overlap_tokens, largest_overlap))
    if overlap_tokens > largest_overlap:
        raise InvalidArgumentError(
            "chunking.overlap_tokens",
            f"{overlap_tokens:,} is not allowed: at most {largest_overlap:,}, less than half of "
            f"a chunk of {size:,}",
        )
    return Chunking(size, overlap_tokens)
