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
)
from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder

from tests.unit.embedders.serving import serving
from tests.unit.server.calls import details_of


@pytest.fixture(scope="module")
async def service(embedder: Embedder) -> AsyncIterator[Any]:
    async with serving(embedder) as stub:
        yield stub


@pytest.fixture(scope="module")
async def nested() -> AsyncIterator[Any]:
    """A model whose vectors may be cut."""
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2", shorter_dimensions=(128, 64))
    await embedder.start()
    async with serving(embedder) as stub:
        yield stub
    await embedder.close()


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
    assert dict(details_of(error)["ErrorInfo"].metadata) == {
        "field": "inputs[1].text",
        "tokens": "302",
        "max_tokens": "256",
    }
    for told in ("inputs[1].text", "302 tokens", "256"):
        assert told in error.details()


@pytest.mark.parametrize("words", [253, 254])
async def test_a_text_that_fits_need_not_be_cut(service: Any, words: int) -> None:
    response = await service.Embed(request("word " * words, truncate=TRUNCATION_NONE))

    assert response.usage.tokens == words + 2


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


@pytest.mark.parametrize("dimensions", [64, 128])
async def test_shorter_vectors_are_the_start_of_the_whole_ones_at_unit_length(
    nested: Any, dimensions: int
) -> None:
    whole = await nested.Embed(request("dew", "wind limits"))
    shorter = await nested.Embed(request("dew", "wind limits", dimensions=dimensions))

    start = vectors_of(whole)[:, :dimensions]
    expected = start / np.linalg.norm(start, axis=1, keepdims=True)
    assert np.allclose(vectors_of(shorter), expected, atol=1e-5)


async def test_the_fingerprint_tells_shorter_vectors_from_whole_ones(nested: Any) -> None:
    whole = (await nested.Embed(request("dew"))).fingerprint
    shorter = (await nested.Embed(request("dew", dimensions=64))).fingerprint

    assert (whole.dimension, shorter.dimension) == (384, 64)
    shorter.dimension = 384
    assert shorter == whole


@pytest.mark.parametrize("dimensions", [1, 63, 65, 383])
async def test_a_length_that_a_model_was_not_trained_for_is_told_those_it_was(
    nested: Any, dimensions: int
) -> None:
    error = await refusal(nested, request("dew", dimensions=dimensions))

    assert field_of(error) == "dimensions"
    assert "64, 128 and 384 are allowed" in error.details()
