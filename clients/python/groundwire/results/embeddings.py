"""What embedding gives."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from groundwire import vectors
from groundwire.results.collections import Fingerprint, fingerprint
from groundwire.v1 import embed_service_pb2, vector_pb2


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors in the order of the texts, and what made them."""

    vectors: tuple[array[float], ...]
    fingerprint: Fingerprint
    tokens: int
    truncated_inputs: int


@dataclass(frozen=True, slots=True)
class Embedding:
    """The vector of one text of a stream, with the id that the text was given."""

    id: str
    vector: array[float]
    fingerprint: Fingerprint
    tokens: int
    is_truncated: bool


class EmbeddingReader:
    """Reads the answers of one EmbedStream, of which the first has the fingerprint."""

    def __init__(self) -> None:
        self._fingerprint = fingerprint(vector_pb2.Fingerprint())

    def __call__(self, message: embed_service_pb2.EmbedStreamResponse) -> Embedding:
        """One answer."""
        if message.HasField("fingerprint"):
            self._fingerprint = fingerprint(message.fingerprint)
        return Embedding(
            message.id,
            vectors.decode(message.embedding),
            self._fingerprint,
            message.usage.tokens,
            message.usage.truncated_inputs > 0,
        )


def embeddings(message: embed_service_pb2.EmbedResponse) -> Embeddings:
    """The answer of Embed."""
    return Embeddings(
        tuple(vectors.decode(item) for item in message.embeddings),
        fingerprint(message.fingerprint),
        message.usage.tokens,
        message.usage.truncated_inputs,
    )
