"""Embedding any number of texts in one call."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Literal

from groundwire.call import Exchange
from groundwire.made import made
from groundwire.messages import Messages
from groundwire.results.embeddings import Embedding, EmbeddingReader
from groundwire.v1 import embed_service_pb2 as pb
from groundwire.values import enum_number

Text = str | tuple[str, str]
"""A text, or an id and a text."""


def embed_stream(
    texts: Iterable[Text] | AsyncIterable[Text],
    *,
    kind: Literal["query", "passage"] = "passage",
    model: str = "",
    dimensions: int | None = None,
    truncate: Literal["end", "none"] | None = None,
    timeout: float | None = None,
) -> Exchange[Embedding]:
    """Turn any number of texts into vectors, in order, as they come.

    A text is a string, or an id and a string; the id comes back with the vector. No more than a
    few hundred are on their way at a time: ``texts`` is read as fast as the vectors are taken.
    If one is refused, the vectors of those before it come first, then the error, whose
    ``metadata["message"]`` and ``metadata["id"]`` say which. The other arguments are those of
    ``embed``. ``timeout`` is the seconds during which nothing moves.
    """
    if isinstance(texts, str):
        raise TypeError("embed_stream takes texts; put the one text in a list.")
    first = made(
        pb.EmbedStreamRequest,
        model=model,
        kind=enum_number(pb.EmbedKind.DESCRIPTOR, kind),
        dimensions=dimensions,
        truncate=enum_number(pb.Truncation.DESCRIPTOR, truncate),
    )
    return Exchange(
        "/groundwire.v1.EmbedService/EmbedStream",
        Messages(texts, OneByOne(first)),
        pb.EmbedStreamResponse.FromString,
        EmbeddingReader(),
        timeout,
    )


class OneByOne:
    """Makes a message of each text; the first says how all are embedded."""

    def __init__(self, first: pb.EmbedStreamRequest) -> None:
        self._next = first

    def add(self, text: Text) -> pb.EmbedStreamRequest:
        """The message of a text."""
        message, self._next = self._next, pb.EmbedStreamRequest()
        message.id, message.input.text = ("", text) if isinstance(text, str) else text
        return message

    def last(self) -> None:
        """Nothing is left."""
