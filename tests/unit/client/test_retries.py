"""What is repeated, and what never is."""

from __future__ import annotations

import json

import groundwire
import grpc
import pytest
from groundwire.channel import service_config
from groundwire.errors import ResourceExhaustedError, UnavailableError
from groundwire.v1 import (
    admin_service_pb2,
    embed_service_pb2,
    generate_service_pb2,
    generate_service_pb2_grpc,
    generation_pb2,
    memory_service_pb2,
    retrieve_service_pb2,
    retrieve_service_pb2_grpc,
)

from tests.unit.client.scripted import serving

FILES = (
    admin_service_pb2,
    embed_service_pb2,
    generate_service_pb2,
    memory_service_pb2,
    retrieve_service_pb2,
)
READS = ("Get", "List", "Search", "Scroll", "Count", "Embed", "BuildContext", "Recall")


class Shaky(retrieve_service_pb2_grpc.RetrieveServiceServicer):
    """Fails some times, then works."""

    def __init__(self, failures: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.failures = failures
        self.code = code
        self.keys: list[str] = []
        self.calls = 0

    def Search(self, request, context):  # noqa: N802
        self._fail(context)
        return retrieve_service_pb2.SearchResponse(
            hits=[retrieve_service_pb2.Hit(id="found", score=1)]
        )

    def Upsert(self, request, context):  # noqa: N802
        self.keys.append(request.idempotency_key)
        self._fail(context)
        return retrieve_service_pb2.UpsertResponse(sequence=7, count=len(request.records))

    def DeleteCollection(self, request, context):  # noqa: N802
        self._fail(context)
        return retrieve_service_pb2.DeleteCollectionResponse()

    def _fail(self, context) -> None:
        self.calls += 1
        if self.calls <= self.failures:
            context.abort(self.code, "not now")


class ShakyGeneration(generate_service_pb2_grpc.GenerateServiceServicer):
    """Fails some times before the first event, and again after ``breaks_after`` events."""

    def __init__(self, failures: int = 0, breaks_after: int | None = None) -> None:
        self.failures = failures
        self.breaks_after = breaks_after
        self.calls = 0

    def Generate(self, request, context):  # noqa: N802
        self.calls += 1
        if self.calls <= self.failures:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        for number, word in enumerate(("one ", "two ", "three")):
            if number == self.breaks_after:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the engine died")
            delta = generate_service_pb2.TextDelta(text=word, token_count=1)
            yield generate_service_pb2.GenerateResponse(text_delta=delta)
        yield generate_service_pb2.GenerateResponse(finished=generation_pb2.Finished())

    def Complete(self, request, context):  # noqa: N802
        self.calls += 1
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")


async def test_a_read_that_fails_twice_is_repeated(ask) -> None:
    server = Shaky(failures=2)
    with serving(server) as address:
        result = await ask(address, lambda client: client.retrieve.search("c", "question"))
    assert [hit.id for hit in result.hits] == ["found"]
    assert server.calls == 3


async def test_a_read_that_the_server_had_no_room_for_is_repeated(ask) -> None:
    server = Shaky(1, grpc.StatusCode.RESOURCE_EXHAUSTED)
    with serving(server) as address:
        await ask(address, lambda client: client.retrieve.search("c", "question"))
    assert server.calls == 2


async def test_after_four_tries_the_failure_is_raised(ask) -> None:
    server = Shaky(99, grpc.StatusCode.RESOURCE_EXHAUSTED)
    with serving(server) as address, pytest.raises(ResourceExhaustedError, match="not now"):
        await ask(address, lambda client: client.retrieve.search("c", "question"))
    assert server.calls == 4


async def test_a_write_is_repeated_under_one_key(ask) -> None:
    server = Shaky(failures=2)
    records = [groundwire.Record("a", "text"), groundwire.Record("b", "text")]
    with serving(server) as address:
        written = await ask(address, lambda client: client.retrieve.upsert("c", records))
    assert written == groundwire.Written(sequence=7, count=2)
    assert len(server.keys) == 3
    assert len(set(server.keys)) == 1
    assert server.keys[0]


async def test_a_key_given_by_the_caller_is_used(ask) -> None:
    server = Shaky(failures=0)
    record = groundwire.Record("a", "text")
    with serving(server) as address:
        await ask(
            address,
            lambda client: client.retrieve.upsert("c", [record], idempotency_key="mine"),
        )
    assert server.keys == ["mine"]


async def test_each_write_has_a_key_of_its_own(ask) -> None:
    server = Shaky(failures=0)
    record = groundwire.Record("a", "text")
    with serving(server) as address:
        for _ in range(2):
            await ask(address, lambda client: client.retrieve.upsert("c", [record]))
    assert len(set(server.keys)) == 2


async def test_a_large_write_is_repeated_too(ask) -> None:
    server = Shaky(failures=1)
    record = groundwire.Record("a", "x" * 2**20)
    with serving(server) as address:
        await ask(address, lambda client: client.retrieve.upsert("c", [record]))
    assert server.calls == 2


async def test_a_write_without_a_key_is_not_repeated(ask) -> None:
    server = Shaky(failures=1)
    with serving(server) as address, pytest.raises(UnavailableError):
        await ask(address, lambda client: client.retrieve.delete_collection("c"))
    assert server.calls == 1


async def test_complete_is_not_repeated(ask) -> None:
    server = ShakyGeneration()
    with serving(server) as address, pytest.raises(UnavailableError):
        await ask(address, lambda client: client.complete("Hello"))
    assert server.calls == 1


async def test_generate_is_repeated_before_the_first_event(ask) -> None:
    server = ShakyGeneration(failures=2)
    with serving(server) as address:
        text = await ask(address, lambda client: client.generate("Hello").text())
    assert text == "one two three"
    assert server.calls == 3


async def test_an_answer_that_breaks_off_is_not_begun_again_and_keeps_what_came(ask) -> None:
    server = ShakyGeneration(breaks_after=2)
    begun = []

    def begin(client):
        begun.append(client.generate("Hello"))
        return begun[0].text()

    with serving(server) as address, pytest.raises(UnavailableError, match="the engine died"):
        await ask(address, begin)
    assert begun[0].answer == "one two "
    assert begun[0].finished is None
    assert server.calls == 1


def test_what_gRPC_repeats_is_a_read_or_has_a_key() -> None:  # noqa: N802
    methods = {
        (service.full_name, method.name): method
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    config = json.loads(service_config())
    for policy in config["methodConfig"]:
        for name in policy["name"]:
            method = methods[name["service"], name["method"]]
            keyed = "idempotency_key" in method.input_type.fields_by_name
            assert keyed or method.name.startswith(READS) or method.name == "Generate", method.name
