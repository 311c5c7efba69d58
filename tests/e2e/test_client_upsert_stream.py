"""Both clients write records as they come, to a whole server."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterator

import pytest
from groundwire import AsyncClient, Client, Record
from groundwire.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError

from tests.e2e.serving import ServerProcess

TENANT = "upsert-stream"


def records(count: int) -> Iterator[Record]:
    for number in range(count):
        yield Record(str(number), vector=array("f", [1.0, number]), metadata={"n": number})


async def arriving(count: int) -> AsyncIterator[Record]:
    for record in records(count):
        yield record


@pytest.fixture
def client(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(server.address, tenant=f"{TENANT}-{abs(hash(request.node.name))}") as client:
        client.retrieve.create_collection("c", dimension=2, embedder="none")
        yield client


def asynchronous(client: Client) -> AsyncClient:
    connection = client.transport.connection
    return AsyncClient(connection.target, tenant=connection.tenant)


def test_a_generator_of_any_length_is_written(client: Client) -> None:
    written = client.retrieve.upsert_stream("c", records(2500))
    assert (written.sequence, written.count) == (3, 2500)
    assert client.retrieve.count("c").count == 2500
    (last,) = client.retrieve.get("c", ["2499"])
    assert last is not None
    assert last.metadata == {"n": 2499}


@pytest.mark.parametrize("source", [records, arriving])
async def test_so_it_is_on_an_event_loop(client: Client, source) -> None:  # type: ignore[no-untyped-def]
    async with asynchronous(client) as other:
        written = await other.retrieve.upsert_stream("c", source(2500))
    assert (written.sequence, written.count) == (3, 2500)


def test_no_records_are_no_error_but_no_collection_is(client: Client) -> None:
    assert client.retrieve.upsert_stream("c", []).count == 0
    with pytest.raises(NotFoundError):
        client.retrieve.upsert_stream("none", [])


def spoilt(count: int) -> Iterator[Record]:
    yield from records(count)
    yield Record("bad", vector=array("f", [1.0, 2.0, 3.0]))
    yield from records(5000)


def test_a_bad_record_is_named_and_those_of_earlier_pieces_stay(client: Client) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        client.retrieve.upsert_stream("c", spoilt(2100))
    assert refused.value.violations[0].field == "messages[2].records[100].vector"
    assert refused.value.metadata["records_stored"] == "2000"
    assert client.retrieve.count("c").count == 2000


async def test_so_it_is_told_on_an_event_loop(client: Client) -> None:
    async with asynchronous(client) as other:
        with pytest.raises(InvalidArgumentError) as refused:
            await other.retrieve.upsert_stream("c", spoilt(2100))
    assert refused.value.metadata["messages_stored"] == "2"


def failing(count: int) -> Iterator[Record]:
    yield from records(count)
    raise LookupError("the source is gone")


async def failing_later(count: int) -> AsyncIterator[Record]:
    for record in failing(count):
        yield record


def test_what_the_source_raises_is_raised(client: Client) -> None:
    with pytest.raises(LookupError, match="the source is gone"):
        client.retrieve.upsert_stream("c", failing(1500))


@pytest.mark.parametrize("source", [failing, failing_later])
async def test_so_it_is_raised_on_an_event_loop(client: Client, source) -> None:  # type: ignore[no-untyped-def]
    async with asynchronous(client) as other:
        with pytest.raises(LookupError, match="the source is gone"):
            await other.retrieve.upsert_stream("c", source(1500))


def test_with_a_key_the_same_records_are_not_written_twice(client: Client) -> None:
    first = client.retrieve.upsert_stream("c", records(1500), idempotency_key="once")
    again = client.retrieve.upsert_stream("c", records(1500), idempotency_key="once")
    assert again == first
    assert client.retrieve.get_collection("c").sequence == 2
    with pytest.raises(AlreadyExistsError):
        client.retrieve.upsert_stream("c", records(10), idempotency_key="once")
