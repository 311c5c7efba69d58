"""EmbedService: texts to vectors."""

from __future__ import annotations

from collections.abc import Mapping

from groundwire.v1 import embed_service_pb2, embed_service_pb2_grpc
from groundwire_index.errors import LimitExceededError, NotFoundError, UnsupportedError
from groundwire_index.records import Fingerprint

from groundwire_server.embedders.embedder import Embedder, Embeddings, EmbedKind
from groundwire_server.interceptors.method import Context
from groundwire_server.services.enums import enum_of
from groundwire_server.services.validate import require_count, require_range, require_text
from groundwire_server.services.vectors import fingerprint_message, vector_message

MAX_INPUTS = 2048

KINDS: Mapping[int, EmbedKind] = {
    embed_service_pb2.EMBED_KIND_UNSPECIFIED: EmbedKind.PASSAGE,
    embed_service_pb2.EMBED_KIND_QUERY: EmbedKind.QUERY,
    embed_service_pb2.EMBED_KIND_PASSAGE: EmbedKind.PASSAGE,
}
MAY_TRUNCATE: Mapping[int, bool] = {
    embed_service_pb2.TRUNCATION_UNSPECIFIED: True,
    embed_service_pb2.TRUNCATION_END: True,
    embed_service_pb2.TRUNCATION_NONE: False,
}


class EmbedService(embed_service_pb2_grpc.EmbedServiceServicer):
    """Embeds with the server's embedder."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def Embed(
        self, request: embed_service_pb2.EmbedRequest, context: Context
    ) -> embed_service_pb2.EmbedResponse:
        """Embed a batch, in request order; all or none."""
        kind = enum_of(request.kind, KINDS, "kind")
        may_truncate = enum_of(request.truncate, MAY_TRUNCATE, "truncate")
        _require_texts(request)
        fingerprint = self._embedder.fingerprint
        _require_model(request.model, fingerprint)
        _require_dimensions(request, fingerprint)
        texts = [one.text for one in request.inputs]
        embeddings = await self._embedder.embed(texts, kind)
        if not may_truncate:
            _require_whole(embeddings, self._embedder.max_tokens)
        return embed_service_pb2.EmbedResponse(
            embeddings=map(vector_message, embeddings.vectors),
            fingerprint=fingerprint_message(fingerprint),
            usage=embed_service_pb2.EmbedUsage(
                tokens=sum(embeddings.token_counts), truncated_inputs=sum(embeddings.truncated)
            ),
        )


def _require_texts(request: embed_service_pb2.EmbedRequest) -> None:
    require_count(len(request.inputs), "inputs", high=MAX_INPUTS)
    for number, one in enumerate(request.inputs):
        require_text(one.text, f"inputs[{number}].text")


def _require_model(model: str, fingerprint: Fingerprint) -> None:
    if model not in ("", fingerprint.model):
        raise NotFoundError(
            f'no embedder "{model}" is served here; there is "{fingerprint.model}"',
            reason="MODEL_NOT_FOUND",
            metadata={"resource_type": "model", "resource_name": model},
        )


def _require_dimensions(request: embed_service_pb2.EmbedRequest, fingerprint: Fingerprint) -> None:
    if not request.HasField("dimensions"):
        return
    require_range(request.dimensions, "dimensions", low=1, high=fingerprint.dimension)
    if request.dimensions != fingerprint.dimension:
        raise UnsupportedError(
            f'"{fingerprint.model}" was not trained for shorter vectors: leave out '
            f"`dimensions`, or ask for all {fingerprint.dimension}",
            reason="DIMENSIONS_UNSUPPORTED",
        )


def _require_whole(embeddings: Embeddings, max_tokens: int) -> None:
    if True in embeddings.truncated:
        number = embeddings.truncated.index(True)
        raise LimitExceededError(
            f"inputs[{number}] is longer than the {max_tokens:,} tokens that the model reads: "
            "shorten it, or let it be cut with TRUNCATION_END",
            reason="INPUT_TOO_LONG",
            metadata={"field": f"inputs[{number}].text", "max_tokens": str(max_tokens)},
        )
