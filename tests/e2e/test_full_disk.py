"""The disk fills up under a running server: what is refused, what goes on, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import groundwire
import grpc
import pytest
from groundwire.errors import ResourceExhaustedError
from groundwire.v1 import generation_pb2 as generation
from groundwire.v1 import memory_service_pb2 as memory_pb
from groundwire.v1 import memory_service_pb2_grpc as memory_grpc
from groundwire.v1 import record_pb2, vector_pb2
from groundwire.v1 import retrieve_service_pb2 as retrieve_pb
from groundwire.v1 import retrieve_service_pb2_grpc as retrieve_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.serving import TIMEOUT_S, ServerProcess
from tests.small_disk import filled, small_disk

DIMENSION = 256
# More than the pages have left that the server's files have already; the longer document is
# also more than is held in memory while it arrives.
RECORDS = [f"r{number}" for number in range(200)]
MINUTES = "The dome opens at dusk and the lamps are covered. " * 400
REPORT = MINUTES * 60


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", mebibytes=64) as disk:
        yield disk


@pytest.fixture
def server(disk: Path) -> Iterator[ServerProcess]:
    with ServerProcess(disk / "data") as server:
        yield server


def prepare(client: groundwire.Client) -> None:
    client.retrieve.create_collection("points", embedder="none", dimension=DIMENSION)
    client.retrieve.create_collection("notes")
    client.memory.create_session("s")


def writes(client: groundwire.Client, name: str) -> Sequence[Callable[[], object]]:
    """One of each kind, to be told apart by name."""
    records = [groundwire.Record(name + key, vector=[1.0] * DIMENSION) for key in RECORDS]
    turn = groundwire.NewMessage(role="user", content=name + MINUTES)
    return (
        lambda: client.retrieve.upsert("points", records),
        lambda: client.retrieve.ingest("notes", (name + MINUTES).encode(), filename=name),
        lambda: client.memory.append("s", [turn]),
    )


def found(client: groundwire.Client) -> tuple[int, list[str], list[str]]:
    """How many records, which documents, and the beginnings of the turns."""
    return (
        client.retrieve.count("points").count,
        [document.id for document in client.retrieve.list_documents("notes")],
        [turn.content[:5] for turn in client.memory.messages("s")],
    )


def left_by(*names: str) -> tuple[int, list[str], list[str]]:
    return len(RECORDS) * len(names), list(names), list(names)


def test_what_cannot_be_kept_is_refused_and_nothing_acknowledged_is_lost(
    server: ServerProcess, disk: Path
) -> None:
    with groundwire.Client(server.address) as client:
        prepare(client)
        for write in writes(client, "first"):
            write()
        with filled(disk):
            for write in writes(client, "never"):
                with pytest.raises(ResourceExhaustedError, match="free some space") as raised:
                    write()
                assert raised.value.reason == "DISK_FULL"
                assert (raised.value.retry_after or 0) > 0
            with pytest.raises(ResourceExhaustedError, match="free some space"):
                client.retrieve.ingest("notes", REPORT.encode(), filename="report.txt")
            assert found(client) == left_by("first")
            assert client.retrieve.search("notes", "When does the dome open?").hits
            assert serving(client.channel) == {health_pb2.HealthCheckResponse.SERVING}
        for write in writes(client, "later"):
            write()
        assert found(client) == left_by("first", "later")
    server.kill()
    with server, groundwire.Client(server.address) as client:
        assert found(client) == left_by("first", "later")


def test_a_stub_without_our_client_gets_the_status_at_once(
    server: ServerProcess, disk: Path
) -> None:
    with groundwire.Client(server.address) as client:
        prepare(client)
    with grpc.insecure_channel(server.address) as channel, filled(disk):
        retrieve = retrieve_grpc.RetrieveServiceStub(channel)
        memory = memory_grpc.MemoryServiceStub(channel)
        for call in (
            lambda: retrieve.Upsert(upsert(), timeout=TIMEOUT_S),
            lambda: list(retrieve.IngestDocument(ingest(), timeout=TIMEOUT_S)),
            lambda: retrieve.CreateCollection(create(), timeout=TIMEOUT_S),
            lambda: memory.AppendMessages(append(), timeout=TIMEOUT_S),
        ):
            with pytest.raises(grpc.RpcError) as raised:
                call()
            assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "free some space, then retry" in raised.value.details()
            assert ("grpc-retry-pushback-ms", "-1") in raised.value.trailing_metadata()


def serving(channel: grpc.Channel) -> set[int]:
    answer = health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest())
    return {each.status for each in answer.statuses.values()}


def create() -> retrieve_pb.CreateCollectionRequest:
    return retrieve_pb.CreateCollectionRequest(name="new", embedder="none", dimension=DIMENSION)


def upsert() -> retrieve_pb.UpsertRequest:
    vector = vector_pb2.Vector(f32le=b"\0\0\x80\x3f" * DIMENSION)
    records = [record_pb2.Record(id=key, vector=vector) for key in RECORDS]
    return retrieve_pb.UpsertRequest(collection="points", records=records)


def ingest() -> Iterator[retrieve_pb.IngestDocumentRequest]:
    header = retrieve_pb.IngestHeader(collection="notes", filename="minutes.txt")
    yield retrieve_pb.IngestDocumentRequest(header=header)
    yield retrieve_pb.IngestDocumentRequest(data=MINUTES.encode())


def append() -> memory_pb.AppendMessagesRequest:
    message = memory_pb.NewMessage(role=generation.ROLE_USER, content=MINUTES)
    return memory_pb.AppendMessagesRequest(session_id="s", messages=[message])
