"""What embedding gives."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from groundwire import vectors
from groundwire.results.collections import Fingerprint, fingerprint
from groundwire.v1 import embed_service_pb2


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors in the order of the texts, and what made them."""

    vectors: tuple[array[float], ...]
    fingerprint: Fingerprint
    tokens: int
    truncated_inputs: int


def embeddings(message: embed_service_pb2.EmbedResponse) -> Embeddings:
    """The answer of Embed."""
    return Embeddings(
        tuple(vectors.decode(item) for item in message.embeddings),
        fingerprint(message.fingerprint),
        message.usage.tokens,
        message.usage.truncated_inputs,
    )
