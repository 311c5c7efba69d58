"""EmbedService.EmbedStream over a real socket, with the built-in model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import grpc
import numpy as np
import pytest
from groundwire.v1.embed_service_pb2 import (
    TRUNCATION_NONE,
    EmbedInput,
    EmbedRequest,
    EmbedStreamRequest,
    EmbedStreamResponse,
)
from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.embedders.encoder import Encoder, Tokens
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.interceptors.method import Call, Context, Method
from groundwire_server.services.embed_stream import IN_HAND

from tests.patience import PATIENCE_S
from tests.unit.embedders.serving import serving
from tests.unit.server.calls import details_of


class Gated(SentenceTransformersEmbedder):
    """Embeds while its gate is open; counts the calls that wait, and notes the batches."""

    def __init__(self) -> None:
        super().__init__("all-MiniLM-L6-v2")
        self.gate = asyncio.Event()
        self.called = asyncio.Semaphore(0)
        self.left = asyncio.Semaphore(0)
        self.now = 0
        self.batches: list[int] = []

    async def embed(self, *asked: Any, **options: Any) -> Any:
        self.now += 1
        self.called.release()
        try:
            await self.gate.wait()
            return await super().embed(*asked, **options)
        finally:
            self.now -= 1
            self.left.release()

    def _load(self) -> Encoder:
        encoder: Any = super()._load()
        encode = encoder.encode

        def noting(batch: Sequence[Tokens]) -> Any:
            self.batches.append(len(batch))
            return encode(batch)

        encoder.encode = noting
        return encoder


class Taken:
    """An interceptor that counts the messages which the service has taken."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, method: Method, call: Call) -> Call:
        if method.name != "EmbedStream":
            return call

        async def counting(requests: Any, context: Context) -> Any:
            return await call(self._counted(requests), context)

        return counting

    async def _counted(self, requests: Any) -> AsyncIterator[Any]:
        async for request in requests:
            self.count += 1
            yield request


@pytest.fixture(scope="module")
async def service(embedder: Embedder) -> AsyncIterator[Any]:
    async with serving(embedder) as stub:
        yield stub


@pytest.fixture
async def gated() -> AsyncIterator[Gated]:
    embedder = Gated()
    await embedder.start()
    yield embedder
    await embedder.close()


def items(*texts: str, **first: Any) -> Iterable[EmbedStreamRequest]:
    for number, text in enumerate(texts):
        fields = first if number == 0 else {}
        yield EmbedStreamRequest(id=f"id-{number}", input=EmbedInput(text=text), **fields)


def vector_of(response: EmbedStreamResponse) -> Any:
    return np.frombuffer(response.embedding.f32le, "<f4")


async def received(
    service: Any, requests: Iterable[EmbedStreamRequest]
) -> tuple[list[EmbedStreamResponse], grpc.aio.AioRpcError | None]:
    """What came, and the error that it ended with."""
    responses = []
    try:
        async for response in service.EmbedStream(requests):
            responses.append(response)  # noqa: PERF401 - those before an error count
    except grpc.aio.AioRpcError as error:
        return responses, error
    return responses, None


def item_of(error: grpc.aio.AioRpcError) -> tuple[str, str]:
    metadata = details_of(error)["ErrorInfo"].metadata
    return metadata["message"], metadata["id"]


async def test_each_item_is_answered_in_order_with_its_id(service: Any, embedder: Embedder) -> None:
    texts = [f"Reading {number} of the {'long ' * (number % 30)}night." for number in range(150)]

    responses, error = await received(service, items(*texts))

    expected = await embedder.embed(texts, EmbedKind.PASSAGE)
    assert error is None
    assert [one.id for one in responses] == [f"id-{number}" for number in range(150)]
    assert np.allclose([vector_of(one) for one in responses], expected.vectors, atol=1e-4)
    assert tuple(one.usage.tokens for one in responses) == expected.token_counts


async def test_the_first_answer_alone_tells_what_made_the_vectors(
    service: Any, embedder: Embedder
) -> None:
    first, *others = (await received(service, items("dew", "wind", "word " * 300)))[0]

    assert first.fingerprint.revision == embedder.fingerprint.revision
    assert not any(one.HasField("fingerprint") for one in others)
    assert [one.usage.truncated_inputs for one in (first, *others)] == [0, 0, 1]


async def test_a_stream_without_items_is_no_error(service: Any) -> None:
    assert await received(service, items()) == ([], None)


async def test_the_first_item_says_how_all_are_embedded(service: Any) -> None:
    first, second = items("dew", "dew", kind=1)
    second.kind, second.dimensions, second.model = 2, 7, "another"

    responses, error = await received(service, [first, second])

    assert error is None
    assert np.allclose(vector_of(responses[0]), vector_of(responses[1]), atol=1e-4)


async def test_answers_come_while_the_client_still_sends(service: Any) -> None:
    call = service.EmbedStream()
    for request in items(*"abc"):
        await call.write(request)
        assert (await call.read()).id == request.id
    await call.done_writing()

    assert await call.read() is grpc.aio.EOF


async def test_a_text_that_must_not_be_cut_ends_the_stream_after_those_before_it(
    service: Any,
) -> None:
    texts = ["dew", "wind", "word " * 300, "rain"]

    responses, error = await received(service, items(*texts, truncate=TRUNCATION_NONE))

    assert [one.id for one in responses] == ["id-0", "id-1"]
    assert error is not None
    assert error.code() is grpc.StatusCode.OUT_OF_RANGE
    assert "messages[2].input.text has 302 tokens, over the 256" in error.details()
    assert item_of(error) == ("2", "id-2")


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (EmbedStreamRequest(id="bad"), "input.text"),
        (EmbedStreamRequest(id="bad", input=EmbedInput(text=" \n")), "input.text"),
        (EmbedStreamRequest(id="é" * 300, input=EmbedInput(text="dew")), "id"),
    ],
)
async def test_a_bad_item_is_named_after_the_answers_to_those_before_it(
    service: Any, bad: EmbedStreamRequest, field: str
) -> None:
    responses, error = await received(service, [*items(*"abc"), bad, *items(*"def")])

    assert [one.id for one in responses] == ["id-0", "id-1", "id-2"]
    assert error is not None
    violation = details_of(error)["BadRequest"].field_violations[0]
    assert violation.field == f"messages[3].{field}"
    assert item_of(error) == ("3", bad.id)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"model": "another"}, grpc.StatusCode.NOT_FOUND),
        ({"kind": 7}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"truncate": 7}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"dimensions": 385}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"dimensions": 64}, grpc.StatusCode.UNIMPLEMENTED),
    ],
)
async def test_bad_options_are_refused_with_the_first_item(
    service: Any, options: dict[str, Any], code: grpc.StatusCode
) -> None:
    responses, error = await received(service, items("dew", "wind", **options))

    assert responses == []
    assert error is not None
    assert error.code() is code
    assert item_of(error) == ("0", "id-0")


async def test_no_more_is_taken_in_than_is_answered_and_in_hand(gated: Gated) -> None:
    taken = Taken()
    async with serving(gated, taken) as service, asyncio.timeout(PATIENCE_S):
        stream = asyncio.create_task(received(service, items(*["dew"] * 1000)))
        for _ in range(IN_HAND):
            await gated.called.acquire()
        for _ in range(50):
            # Each goes to the server and back on the connection that the items came on.
            assert await received(service, items()) == ([], None)
        assert (taken.count, gated.now) == (IN_HAND, IN_HAND)

        gated.gate.set()
        responses, error = await stream

    assert error is None
    assert [one.id for one in responses] == [f"id-{number}" for number in range(1000)]


async def test_a_client_that_does_not_read_is_not_read_from(embedder: Embedder) -> None:
    taken = Taken()
    async with serving(embedder, taken) as service, asyncio.timeout(PATIENCE_S):
        call = service.EmbedStream()
        # Few bytes for so many items, and all of them fit into the windows of the connection.
        for request in items(*["dew"] * 1000):
            await call.write(request)
        await call.done_writing()
        for _ in range(100):
            await service.Embed(EmbedRequest(inputs=[EmbedInput(text="dew")]))
        assert IN_HAND < taken.count < 500

        assert len([response async for response in call]) == 1000
    assert taken.count == 1000


async def test_items_of_a_client_that_goes_leave_the_queue(gated: Gated) -> None:
    async with serving(gated) as service, asyncio.timeout(PATIENCE_S):
        call = service.EmbedStream()
        for request in items(*["dew"] * 10):
            await call.write(request)
            await gated.called.acquire()
        call.cancel()
        for _ in range(10):
            await gated.left.acquire()
    assert gated.now == 0
    assert gated.batches == []


async def test_items_share_batches(gated: Gated) -> None:
    async with serving(gated) as service, asyncio.timeout(PATIENCE_S):
        stream = asyncio.create_task(received(service, items(*["dew"] * IN_HAND)))
        for _ in range(IN_HAND):
            await gated.called.acquire()
        gated.gate.set()
        responses, _ = await stream

    assert len(responses) == sum(gated.batches) == IN_HAND
    assert len(gated.batches) < IN_HAND / 4
