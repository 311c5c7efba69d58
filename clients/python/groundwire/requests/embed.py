"""Embed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from groundwire.call import Unary, call
from groundwire.made import made
from groundwire.results import embeddings as results
from groundwire.v1 import embed_service_pb2 as pb
from groundwire.values import enum_number


def embed(
    texts: Sequence[str],
    *,
    kind: Literal["query", "passage"] = "passage",
    model: str = "",
    dimensions: int | None = None,
    truncate: Literal["end", "none"] | None = None,
    timeout: float | None = None,
) -> Unary[results.Embeddings]:
    """Turn texts into vectors, in order, all or none.

    Up to 2,048 texts. ``kind`` is what they are for: some models embed a question and a
    text to be found differently. A text past the model's limit is cut at its end, unless
    ``truncate`` is "none", which raises OutOfRangeError. ``dimensions`` cuts vectors to that
    many, of unit length again, where the model was trained for it.
    """
    if isinstance(texts, str):
        raise TypeError("embed takes a list of texts; put the one text in a list.")
    request = made(
        pb.EmbedRequest,
        model=model,
        inputs=[pb.EmbedInput(text=text) for text in texts],
        kind=enum_number(pb.EmbedKind.DESCRIPTOR, kind),
        dimensions=dimensions,
        truncate=enum_number(pb.Truncation.DESCRIPTOR, truncate),
    )
    return call("EmbedService/Embed", request, pb.EmbedResponse, results.embeddings, timeout)
