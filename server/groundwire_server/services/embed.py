"""EmbedService: texts to vectors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from groundwire.v1 import embed_service_pb2, embed_service_pb2_grpc

from groundwire_server.embedders.embedder import Embedder
from groundwire_server.interceptors.method import Context
from groundwire_server.services.embed_options import embed_options_of, embedded
from groundwire_server.services.embed_stream import EmbedStream
from groundwire_server.services.validate import require_count, require_text
from groundwire_server.services.vectors import fingerprint_message, vector_message
from groundwire_server.tracing import part

MAX_INPUTS = 2048


class EmbedService(embed_service_pb2_grpc.EmbedServiceServicer):
    """Embeds with the server's embedder."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def Embed(
        self, request: embed_service_pb2.EmbedRequest, context: Context
    ) -> embed_service_pb2.EmbedResponse:
        """Embed a batch, in request order; all or none."""
        options = embed_options_of(request, self._embedder)
        _require_texts(request)
        texts = [one.text for one in request.inputs]
        with part("embed"):
            embeddings = await embedded(
                self._embedder, texts, options, field=lambda position: f"inputs[{position}].text"
            )
        return embed_service_pb2.EmbedResponse(
            embeddings=map(vector_message, embeddings.vectors),
            fingerprint=fingerprint_message(options.fingerprint),
            usage=embed_service_pb2.EmbedUsage(
                tokens=sum(embeddings.token_counts), truncated_inputs=sum(embeddings.truncated)
            ),
        )

    async def EmbedStream(
        self, requests: AsyncIterator[embed_service_pb2.EmbedStreamRequest], context: Context
    ) -> AsyncGenerator[embed_service_pb2.EmbedStreamResponse, None]:
        """Embed item by item, in order."""
        async with aclosing(EmbedStream(requests, self._embedder).answers()) as answers:
            async for answer in answers:
                yield answer


def _require_texts(request: embed_service_pb2.EmbedRequest) -> None:
    require_count(len(request.inputs), "inputs", high=MAX_INPUTS)
    for number, one in enumerate(request.inputs):
        require_text(one.text, f"inputs[{number}].text")
