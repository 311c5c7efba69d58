"""What a tenant has used is what its calls have used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from groundwire import AsyncClient, NewMessage, Record, TextDelta, UsageDay
from groundwire.errors import (
    FailedPreconditionError,
    GroundwireError,
    NotFoundError,
)
from groundwire.v1 import admin_service_pb2 as pb
from groundwire.v1 import admin_service_pb2_grpc as pb_grpc
from redis.asyncio import Redis

from tests.patience import until
from tests.whole_server import WholeServer, whole_server

GENERATOR, EMBEDDER = "extractive", "all-MiniLM-L6-v2"
TEXTS = ("The dome opens at dusk.", "The kitchen closes at nine.")


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WholeServer]:
    async with whole_server(tmp_path_factory.mktemp("usage") / "data") as running:
        yield running


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4()}"


@pytest.fixture
async def client(server: WholeServer, tenant: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.address, tenant=tenant, subject="ada") as made:
        yield made


async def used(client: AsyncClient, **asked: object) -> dict[str, UsageDay]:
    """What there is, by model; of one day, unless midnight has passed."""
    days = [day async for day in client.admin.usage(**asked)]  # type: ignore[arg-type]
    return {day.model: day for day in days}


async def with_documents(client: AsyncClient) -> None:
    await client.retrieve.create_collection("guide")
    records = [Record(text[4:8], text=text) for text in TEXTS]
    await client.retrieve.upsert("guide", records)


async def test_texts_that_are_embedded_are_used_of_the_embedder(client: AsyncClient) -> None:
    embedded = await client.embed(TEXTS)
    again = await client.embed(TEXTS[:1])
    (day,) = (await used(client)).values()
    assert (day.subject, day.model, day.requests, day.errors) == ("ada", EMBEDDER, 2, 0)
    assert day.prompt_tokens == embedded.tokens + again.tokens
    assert (day.completion_tokens, day.cache_hits) == (0, 1)
    assert day.p95_latency_s > 0
    assert day.average_latency_s > 0
    assert not day.other_subjects


async def test_an_answer_is_used_of_the_model_that_gave_it(client: AsyncClient) -> None:
    await with_documents(client)
    before = (await used(client))[EMBEDDER]
    first = (await client.complete("When does the dome open?", grounding="guide")).finished
    async for event in client.generate("When does the kitchen close?", grounding="guide"):
        last = event
    found = await used(client)
    day = found[GENERATOR]
    assert (day.requests, day.errors, day.cache_hits) == (2, 0, 0)
    assert day.prompt_tokens == first.usage.prompt_tokens + last.usage.prompt_tokens
    assert day.completion_tokens == first.usage.completion_tokens + last.usage.completion_tokens
    confidence = (first.confidence + last.confidence) / 2
    assert day.average_confidence == pytest.approx(confidence, abs=1e-5)
    # What is embedded for an answer is a part of it.
    assert found[EMBEDDER] == before


async def test_searches_and_memories_use_the_embedder_and_other_calls_no_model(
    client: AsyncClient,
) -> None:
    await with_documents(client)
    await client.retrieve.search("guide", "dome")
    await client.retrieve.search("guide", "dome", mode="lexical")
    await client.memory.remember("Works at the harbour")
    session = await client.memory.create_session()
    await client.memory.append(session.id, [NewMessage("user", "Hello")])
    found = await used(client)
    assert found[EMBEDDER].requests == 3
    assert found[EMBEDDER].prompt_tokens > 0
    assert found[""].requests == 4
    assert found[""].prompt_tokens == 0
    assert set(found) == {EMBEDDER, ""}


async def test_calls_that_fail_are_errors_and_have_no_latency(client: AsyncClient) -> None:
    for call in (
        client.retrieve.search("nothing", "dome"),
        client.memory.get_session("nothing"),
        client.complete("Hello", model="nothing"),
    ):
        with pytest.raises(NotFoundError):
            await call
    with pytest.raises(GroundwireError):
        await client.complete("Hello", session_id="nothing")
    found = await used(client)
    assert (found[""].requests, found[""].errors) == (3, 3)
    # Of the model that it was meant for.
    assert (found[GENERATOR].requests, found[GENERATOR].errors) == (1, 1)
    assert found[""].average_latency_s is None
    assert found[""].p95_latency_s is None


async def test_a_client_that_leaves_is_no_error_and_what_it_got_was_used(
    client: AsyncClient,
) -> None:
    await with_documents(client)
    async for event in client.generate("When does the dome open?", grounding="guide"):
        if isinstance(event, TextDelta):
            break

    async def is_counted() -> bool:
        return GENERATOR in await used(client, model=GENERATOR)

    await until(is_counted)
    day = (await used(client, model=GENERATOR))[GENERATOR]
    assert (day.requests, day.errors) == (1, 0)
    assert day.completion_tokens > 0


async def test_streams_of_requests_count_once_and_have_no_latency(client: AsyncClient) -> None:
    embedded = [one async for one in client.embed_stream(TEXTS)]
    day = (await used(client))[EMBEDDER]
    assert day.requests == 1
    assert day.prompt_tokens == sum(one.tokens for one in embedded)
    assert day.average_latency_s is None


async def test_to_look_at_the_server_is_no_use_of_it(client: AsyncClient) -> None:
    await client.admin.load()
    await client.admin.server_info()
    assert await used(client) == {}


async def test_usage_can_be_asked_for_by_subject_model_and_day(
    server: WholeServer, client: AsyncClient, tenant: str
) -> None:
    async with AsyncClient(server.address, tenant=tenant, subject="bob") as bob:
        await bob.embed(["dusk"])
        assert [day.subject async for day in bob.admin.usage()] == ["bob"]
    await client.embed(["dusk"])
    await client.memory.create_session()
    days = [day async for day in client.admin.usage(page_size=1)]
    assert [(day.subject, day.model) for day in days] == [
        ("ada", ""),
        ("ada", EMBEDDER),
        ("bob", EMBEDDER),
    ]
    assert [day async for day in client.admin.usage(subject="bob")] == days[2:]
    assert [day async for day in client.admin.usage(model=EMBEDDER)] == days[1:]
    now = datetime.now(UTC)
    for start, end, expected in (
        (now - timedelta(days=1), now + timedelta(days=1), days),
        (now + timedelta(days=1), None, []),
        (None, now - timedelta(days=1), []),
    ):
        assert [day async for day in client.admin.usage(start=start, end=end)] == expected


async def test_nobody_sees_what_another_tenant_has_used(
    server: WholeServer, client: AsyncClient
) -> None:
    await client.embed(["dusk"])
    async with AsyncClient(server.address, tenant=f"tenant-{uuid4()}", subject="ada") as other:
        assert await used(other) == {}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GetUsageRequest(subject="a b"), "subject"),
        (pb.GetUsageRequest(subject="a\n"), "subject"),
        (pb.GetUsageRequest(model="m" * 513), "model"),
        (pb.GetUsageRequest(page_size=-1), "page_size"),
        (pb.GetUsageRequest(page_size=1001), "page_size"),
        (pb.GetUsageRequest(cursor="?"), "cursor"),
        (pb.GetUsageRequest(cursor="YWRh"), "cursor"),
        (pb.GetUsageRequest(start_time=Timestamp(seconds=-1)), "start_time"),
        (pb.GetUsageRequest(end_time=Timestamp(seconds=2**40)), "end_time"),
        (
            pb.GetUsageRequest(start_time=Timestamp(seconds=5), end_time=Timestamp(seconds=5)),
            "end_time",
        ),
    ],
    ids=str,
)
async def test_what_cannot_be_asked_is_refused_by_its_field(
    client: AsyncClient, request_: pb.GetUsageRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await pb_grpc.AdminServiceStub(client.channel).GetUsage(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(refused.value.details()).startswith(f"{field}: ")


async def test_a_restarted_server_has_what_it_had_counted_when_it_was_stopped(
    tmp_path: Path,
) -> None:
    async with whole_server(tmp_path / "data") as server, AsyncClient(server.address) as client:
        await client.embed(["dusk"])
    async with whole_server(tmp_path / "data") as server, AsyncClient(server.address) as client:
        assert (await used(client))[EMBEDDER].requests == 1


async def test_a_server_that_keeps_no_usage_says_so(tmp_path: Path) -> None:
    running = whole_server(tmp_path / "data", usage_days=0)
    async with running as server, AsyncClient(server.address) as client:
        await client.embed(["dusk"])
        with pytest.raises(FailedPreconditionError, match="usage_days"):
            await used(client)
        async with Redis.from_url(f"unix://{server.redis_socket}") as redis:
            assert await redis.dbsize() == 0
