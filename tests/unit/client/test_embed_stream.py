"""Texts that go out as they come, and vectors that come back, with both clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import groundwire
import grpc
import pytest
from groundwire.v1 import embed_service_pb2 as pb
from groundwire.v1 import embed_service_pb2_grpc, vector_pb2

from tests.patience import PATIENCE_S
from tests.standstills import undisturbed
from tests.unit.client.scripted import Flag, failure, serving

FINGERPRINT = vector_pb2.Fingerprint(model="small", revision="1", dimension=1)


class Embedding(embed_service_pb2_grpc.EmbedServiceServicer):
    """Answers each text with its length; one that is "bad" is refused."""

    def __init__(self) -> None:
        self.requests: list[pb.EmbedStreamRequest] = []
        self.gone = Flag()

    def EmbedStream(self, requests, context) -> Iterator[pb.EmbedStreamResponse]:  # noqa: N802
        context.add_callback(self.gone.set)
        for number, request in enumerate(requests):
            self.requests.append(request)
            text = request.input.text
            if text == "bad":
                status = failure(
                    grpc.StatusCode.OUT_OF_RANGE,
                    "too long",
                    metadata={"id": request.id},
                    reason="R",
                )
                context.abort_with_status(status)
            yield pb.EmbedStreamResponse(
                id=request.id,
                embedding=vector_pb2.Vector(values=vector_pb2.FloatList(values=[len(text)])),
                usage=pb.EmbedUsage(tokens=3, truncated_inputs=number % 2),
                fingerprint=None if number else FINGERPRINT,
            )


class Silent(embed_service_pb2_grpc.EmbedServiceServicer):
    """Takes everything and answers nothing."""

    def EmbedStream(self, requests, context) -> Iterator[pb.EmbedStreamResponse]:  # noqa: N802
        yield from ()
        gone = Flag()
        context.add_callback(gone.set)
        gone.wait(PATIENCE_S)


async def test_vectors_come_back_in_order_with_the_ids_of_their_texts(ask: Any) -> None:
    texts = [("first", "a"), "bb", ("third", "ccc")]
    with serving(server := Embedding()) as address:
        embeddings = await ask(
            address, lambda client: client.embed_stream(iter(texts), kind="query", dimensions=1)
        )

    assert [(one.id, list(one.vector), one.is_truncated) for one in embeddings] == [
        ("first", [1.0], False),
        ("", [2.0], True),
        ("third", [3.0], False),
    ]
    assert {one.fingerprint.model for one in embeddings} == {"small"}
    first, *others = server.requests
    assert (first.kind, first.dimensions) == (pb.EMBED_KIND_QUERY, 1)
    assert not any(one.kind or one.HasField("dimensions") for one in others)


async def test_no_texts_are_no_error(ask: Any) -> None:
    with serving(Embedding()) as address:
        assert await ask(address, lambda client: client.embed_stream([])) == []


async def test_texts_may_come_asynchronously() -> None:
    async def texts() -> AsyncIterator[str]:
        yield "a"
        yield "bb"

    with serving(Embedding()) as address:
        async with groundwire.AsyncClient(address) as client:
            assert [one.vector[0] async for one in client.embed_stream(texts())] == [1, 2]


def test_one_text_is_not_taken_for_many() -> None:
    with groundwire.Client("127.0.0.1:1") as client, pytest.raises(TypeError, match="list"):
        client.embed_stream("hello")


def test_the_vectors_before_a_refused_text_come_first() -> None:
    taken = []
    with serving(Embedding()) as address, groundwire.Client(address) as client:
        embeddings = client.embed_stream(["a", "bb", ("third", "bad"), "d"])
        with pytest.raises(groundwire.errors.OutOfRangeError) as refused:
            taken.extend(embedding.vector[0] for embedding in embeddings)
    assert taken == [1, 2]
    assert refused.value.metadata["id"] == "third"


async def test_what_the_source_raises_is_raised(ask: Any) -> None:
    def texts() -> Iterator[str]:
        yield "a"
        raise LookupError("the source is gone")

    with serving(Embedding()) as address, pytest.raises(LookupError, match="source is gone"):
        await ask(address, lambda client: client.embed_stream(texts()))


def endless() -> Iterator[str]:
    while True:
        yield "text " * 1000


def test_leaving_the_loop_ends_the_call_and_the_reading_of_texts() -> None:
    with serving(server := Embedding()) as address, groundwire.Client(address) as client:
        for _ in client.embed_stream(endless()):
            break
        assert server.gone.wait(PATIENCE_S)


async def test_leaving_the_loop_ends_the_call_on_an_event_loop() -> None:
    with serving(server := Embedding()) as address:
        async with groundwire.AsyncClient(address) as client:
            async for _ in client.embed_stream(endless()):
                break
            await server.gone.awaited()


async def test_a_server_that_is_silent_for_too_long_is_given_up(ask: Any) -> None:
    with serving(Silent()) as address, pytest.raises(groundwire.errors.DeadlineExceededError):
        await ask(address, lambda client: client.embed_stream(["a"], timeout=0.2))


async def test_the_time_that_the_caller_takes_is_not_silence() -> None:
    def take() -> None:
        with serving(Embedding()) as address, groundwire.Client(address) as client:
            taken = 0
            for _ in client.embed_stream(["text"] * 5, timeout=0.5):
                taken += 1
                if taken == 2:
                    time.sleep(1)  # What is tested is time.
            assert taken == 5

    await undisturbed(lambda: asyncio.to_thread(take), at_most_s=0.1)


async def test_the_time_that_the_caller_takes_is_not_silence_on_an_event_loop() -> None:
    async def take() -> None:
        with serving(Embedding()) as address:
            async with groundwire.AsyncClient(address) as client:
                taken = 0
                async for _ in client.embed_stream(["text"] * 5, timeout=0.5):
                    taken += 1
                    if taken == 2:
                        await asyncio.sleep(1)  # What is tested is time.
                assert taken == 5

    await undisturbed(take, at_most_s=0.1)
