"""What people ask for by mistake: the right status, a sentence that helps, and nothing stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf import json_format
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire.v1.generate_service_pb2_grpc import GenerateServiceStub
from groundwire.v1.memory_service_pb2 import CreateSessionRequest, GetSessionRequest
from groundwire.v1.memory_service_pb2_grpc import MemoryServiceStub
from groundwire.v1.record_pb2 import Record
from groundwire.v1.retrieve_service_pb2 import CreateCollectionRequest, UpsertRequest
from groundwire.v1.retrieve_service_pb2_grpc import RetrieveServiceStub

from tests.e2e.serving import ServerProcess

METADATA = (("groundwire-tenant", "bad-generation"),)
TIMEOUT_S = 60.0
THOUSAND_STOPS = [f"stop {number}" for number in range(1000)]


@pytest.fixture(scope="module")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """A channel to a server with one collection "c" and one session "s"."""
    with grpc.insecure_channel(server.address) as channel:
        retrieve = RetrieveServiceStub(channel)
        retrieve.CreateCollection(CreateCollectionRequest(name="c"), metadata=METADATA)
        records = [Record(id="dome", text="The dome opens at dusk.")]
        retrieve.Upsert(UpsertRequest(collection="c", records=records), metadata=METADATA)
        session = CreateSessionRequest(session_id="s")
        MemoryServiceStub(channel).CreateSession(session, metadata=METADATA)
        yield channel


def question(stop: list[str]) -> GenerateRequest:
    asked = {
        "prompt": "When does the dome open?",
        "grounding": {"collection": "c"},
        "session_id": "s",
        "sampling": {"stop": stop},
    }
    return json_format.ParseDict(asked, GenerateRequest())


def head(channel: grpc.Channel) -> int:
    request = GetSessionRequest(session_id="s")
    stub = MemoryServiceStub(channel)
    return stub.GetSession(request, metadata=METADATA, timeout=TIMEOUT_S).session.head


def generate(channel: grpc.Channel, request: GenerateRequest) -> str:
    stub = GenerateServiceStub(channel)
    events = stub.Generate(request, metadata=METADATA, timeout=TIMEOUT_S)
    return "".join(event.text_delta.text for event in events)


def complete(channel: grpc.Channel, request: GenerateRequest) -> str:
    stub = GenerateServiceStub(channel)
    whole = CompleteRequest(request=request)
    return stub.Complete(whole, metadata=METADATA, timeout=TIMEOUT_S).text


@pytest.mark.parametrize(
    ("ask", "field"), [(generate, "sampling.stop"), (complete, "request.sampling.stop")]
)
def test_a_stop_list_of_a_thousand_strings_is_refused(
    channel: grpc.Channel, ask: Callable[[grpc.Channel, GenerateRequest], str], field: str
) -> None:
    before = head(channel)
    with pytest.raises(grpc.RpcError) as refused:
        ask(channel, question(THOUSAND_STOPS))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == f"{field}: has 1,000 items; 0 to 16 are allowed"
    assert head(channel) == before


def test_an_answer_ends_before_the_first_of_its_stop_strings(channel: grpc.Channel) -> None:
    assert complete(channel, question([*THOUSAND_STOPS[:15], " at dusk"])) == "The dome opens"
