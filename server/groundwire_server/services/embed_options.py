"""What a request asks of the embedder beside its texts, and texts embedded so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from groundwire.v1 import embed_service_pb2 as pb
from groundwire_index.errors import (
    InvalidArgumentError,
    LimitExceededError,
    NotFoundError,
    UnsupportedError,
)
from groundwire_index.records import Fingerprint

from groundwire_server.embedders.embedder import (
    Embedder,
    Embeddings,
    EmbedKind,
    Priority,
    TextTooLongError,
    Truncation,
)
from groundwire_server.embedders.matryoshka import shortened
from groundwire_server.services.enums import enum_of
from groundwire_server.services.validate import require_range

KINDS: Mapping[int, EmbedKind] = {
    pb.EMBED_KIND_UNSPECIFIED: EmbedKind.PASSAGE,
    pb.EMBED_KIND_QUERY: EmbedKind.QUERY,
    pb.EMBED_KIND_PASSAGE: EmbedKind.PASSAGE,
}
TRUNCATIONS: Mapping[int, Truncation] = {
    pb.TRUNCATION_UNSPECIFIED: Truncation.END,
    pb.TRUNCATION_END: Truncation.END,
    pb.TRUNCATION_NONE: Truncation.NONE,
}


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """How texts are embedded."""

    kind: EmbedKind
    truncation: Truncation
    fingerprint: Fingerprint
    """Of the vectors that are given out, which may be shorter than the model's own."""


def embed_options_of(
    request: pb.EmbedRequest | pb.EmbedStreamRequest, embedder: Embedder
) -> EmbedOptions:
    """Read and check everything but the texts."""
    fingerprint = embedder.fingerprint
    _require_model(request.model, fingerprint)
    return EmbedOptions(
        enum_of(request.kind, KINDS, "kind"),
        enum_of(request.truncate, TRUNCATIONS, "truncate"),
        replace(fingerprint, dimension=_dimension_of(request, embedder)),
    )


async def embedded(
    embedder: Embedder,
    texts: Sequence[str],
    options: EmbedOptions,
    *,
    field: Callable[[int], str],
    priority: Priority = Priority.INTERACTIVE,
) -> Embeddings:
    """The texts' vectors; ``field`` is where in the request a text stands that is too long."""
    try:
        embeddings = await embedder.embed(
            texts, options.kind, priority=priority, truncation=options.truncation
        )
    except TextTooLongError as error:
        raise _too_long(error, field(error.position)) from error
    vectors = shortened(embeddings.vectors, options.fingerprint.dimension)
    return replace(embeddings, vectors=vectors)


def _require_model(model: str, fingerprint: Fingerprint) -> None:
    if model not in ("", fingerprint.model):
        raise NotFoundError(
            f'no embedder "{model}" is served here; there is "{fingerprint.model}"',
            reason="MODEL_NOT_FOUND",
            metadata={"resource_type": "model", "resource_name": model},
        )


def _dimension_of(request: pb.EmbedRequest | pb.EmbedStreamRequest, embedder: Embedder) -> int:
    whole = embedder.fingerprint.dimension
    if not request.HasField("dimensions"):
        return whole
    require_range(request.dimensions, "dimensions", low=1, high=whole)
    if request.dimensions not in (whole, *embedder.shorter_dimensions):
        raise _not_trained_for(request.dimensions, embedder)
    return request.dimensions


def _not_trained_for(dimensions: int, embedder: Embedder) -> Exception:
    model, whole = embedder.fingerprint.model, embedder.fingerprint.dimension
    if not embedder.shorter_dimensions:
        return UnsupportedError(
            f'"{model}" was not trained for shorter vectors: leave out `dimensions`, or ask for '
            f"all {whole}",
            reason="DIMENSIONS_UNSUPPORTED",
        )
    allowed = ", ".join(map(str, embedder.shorter_dimensions))
    return InvalidArgumentError(
        "dimensions",
        f'{dimensions} is not one that "{model}" was trained for: {allowed} and {whole} are '
        "allowed",
    )


def _too_long(error: TextTooLongError, field: str) -> LimitExceededError:
    return LimitExceededError(
        f"{field} has {error.tokens:,} tokens, over the {error.max_tokens:,} that the model "
        "reads: shorten it, or let it be cut with TRUNCATION_END",
        reason="INPUT_TOO_LONG",
        metadata={
            "field": field,
            "tokens": str(error.tokens),
            "max_tokens": str(error.max_tokens),
        },
    )
