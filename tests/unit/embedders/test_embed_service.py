"""EmbedService.Embed over a real socket, with the built-in model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest
from groundwire.v1.embed_service_pb2 import (
    EMBED_KIND_PASSAGE,
    EMBED_KIND_QUERY,
    TRUNCATION_NONE,
    EmbedInput,
    EmbedRequest,
    EmbedResponse,
    EmbedStreamRequest,
)
from groundwire.v1.embed_service_pb2_grpc import (
    EmbedServiceStub,
    add_EmbedServiceServicer_to_server,
)
from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.identity import identity
from groundwire_server.interceptors.methods import Methods
from groundwire_server.services.embed import EmbedService

from tests.unit.server.calls import details_of


@pytest.fixture(scope="module")
async def service(embedder: Embedder) -> AsyncIterator[Any]:
    methods = Methods([errors, identity])
    add_EmbedServiceServicer_to_server(EmbedService(embedder), methods.registry)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((methods,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield EmbedServiceStub(channel)
    await server.stop(None)


def request(*texts: str, **fields: Any) -> EmbedRequest:
    return EmbedRequest(inputs=[EmbedInput(text=text) for text in texts], **fields)


def vectors_of(response: EmbedResponse) -> Any:
    return np.array([np.frombuffer(one.f32le, "<f4") for one in response.embeddings])


async def refusal(service: Any, request: EmbedRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.Embed(request)
    return caught.value


def field_of(error: grpc.aio.AioRpcError) -> str:
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    return str(details_of(error)["BadRequest"].field_violations[0].field)


async def test_vectors_come_in_request_order_with_what_made_them(
    service: Any, embedder: Embedder
) -> None:
    texts = ["a long text about telescopes and domes", "dew", "Wind limits"]
    response = await service.Embed(request(*texts))
    expected = await embedder.embed(texts, EmbedKind.PASSAGE)

    assert np.allclose(vectors_of(response), expected.vectors, atol=1e-5)
    assert response.fingerprint.model == "all-MiniLM-L6-v2"
    assert response.fingerprint.revision == embedder.fingerprint.revision
    assert response.fingerprint.normalized
    assert response.usage.tokens == sum(expected.token_counts)
    assert response.usage.truncated_inputs == 0


@pytest.mark.parametrize("kind", [0, EMBED_KIND_QUERY, EMBED_KIND_PASSAGE])
async def test_every_kind_is_embedded(service: Any, kind: int) -> None:
    response = await service.Embed(request("dew", kind=kind, model="all-MiniLM-L6-v2"))

    assert vectors_of(response).shape == (1, 384)


async def test_a_long_text_is_cut_and_counted(service: Any) -> None:
    response = await service.Embed(request("word " * 300, "dew"))

    assert response.usage.truncated_inputs == 1
    assert response.usage.tokens == 256 + 3


async def test_a_long_text_is_refused_where_it_must_not_be_cut(service: Any) -> None:
    error = await refusal(service, request("dew", "word " * 300, truncate=TRUNCATION_NONE))

    assert error.code() is grpc.StatusCode.OUT_OF_RANGE
    assert "inputs[1]" in error.details()
    assert "256" in error.details()


async def test_as_many_inputs_as_are_allowed(service: Any) -> None:
    response = await service.Embed(request(*["dew"] * 2048))

    assert len(response.embeddings) == 2048


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (request(), "inputs"),
        (request(*["dew"] * 2049), "inputs"),
        (request("dew", ""), "inputs[1].text"),
        (request(" \n\t\u2003"), "inputs[0].text"),
        (request("dew", "é" * (2**19 + 1)), "inputs[1].text"),
        (request("dew", kind=7), "kind"),
        (request("dew", truncate=7), "truncate"),
        (request("dew", dimensions=0), "dimensions"),
        (request("dew", dimensions=385), "dimensions"),
    ],
)
async def test_a_wrong_field_is_named(service: Any, bad: EmbedRequest, field: str) -> None:
    assert field_of(await refusal(service, bad)) == field


async def test_ten_megabytes_of_text_are_refused_for_their_size(service: Any) -> None:
    error = await refusal(service, request("dew " * 2**19))

    assert field_of(error) == "inputs[0].text"
    assert "1,048,576" in error.details()


async def test_an_unknown_model_is_told_which_there_is(service: Any) -> None:
    error = await refusal(service, request("dew", model="no-such-model"))

    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert "all-MiniLM-L6-v2" in error.details()


async def test_shorter_vectors_are_not_made_of_a_model_that_was_not_trained_for_them(
    service: Any,
) -> None:
    error = await refusal(service, request("dew", dimensions=128))
    whole = await service.Embed(request("dew", dimensions=384))

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert vectors_of(whole).shape == (1, 384)


async def test_embedding_by_stream_is_unimplemented(service: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in service.EmbedStream(iter([EmbedStreamRequest(id="1")])):
            pass

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
