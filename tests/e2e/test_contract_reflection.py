"""A client without any of our code finds, understands and calls every service."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.e2e.contract_calls import EVERY, INVALID, NOT_FOUND, WORKING, Call
from tests.e2e.serving import ServerProcess

METADATA = (("groundwire-tenant", "contract-reflection"),)
TIMEOUT_S = 60.0


class Reflected:
    """Builds its stubs from what the server says of itself."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> list[str]:
        return list(self._database.get_services())

    def methods(self, service: str) -> list[MethodDescriptor]:
        return list(self._pool.FindServiceByName(service).methods)

    def call(self, call: Call) -> str:
        """The answers, as JSON."""
        service, _, name = call.method.partition("/")
        method = self._pool.FindServiceByName(service).methods_by_name[name]
        request_type = GetMessageClass(method.input_type)
        requests = [
            json_format.ParseDict(message, request_type(), descriptor_pool=self._pool)
            for message in call.messages
        ]
        answers = self._stub(method)(
            iter(requests) if method.client_streaming else requests[0],
            metadata=METADATA,
            timeout=TIMEOUT_S,
        )
        received = list(answers) if method.server_streaming else [answers]
        return "\n".join(
            json_format.MessageToJson(answer, descriptor_pool=self._pool) for answer in received
        )

    def _stub(self, method: MethodDescriptor) -> grpc.UnaryUnaryMultiCallable:
        kind = f"{_side(method.client_streaming)}_{_side(method.server_streaming)}"
        response_type = GetMessageClass(method.output_type)
        return getattr(self._channel, kind)(
            f"/{method.containing_service.full_name}/{method.name}",
            lambda request: request.SerializeToString(),
            response_type.FromString,
        )


def _side(streaming: bool) -> str:
    return "stream" if streaming else "unary"


@pytest.fixture(scope="module")
def reflected(server: ServerProcess) -> Iterator[Reflected]:
    with grpc.insecure_channel(server.address) as channel:
        yield Reflected(channel)


def test_every_service_and_method_is_described(reflected: Reflected) -> None:
    described = {
        f"{service}/{method.name}"
        for service in reflected.services()
        if service.startswith("groundwire.")
        for method in reflected.methods(service)
    }
    assert described == {call.method for call in EVERY}


def test_every_method_that_is_there_answers(reflected: Reflected) -> None:
    for call in WORKING:
        answer = reflected.call(call)
        assert call.answer in answer, f"{call.method}: {answer}"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        *((call, grpc.StatusCode.NOT_FOUND) for call in NOT_FOUND),
        *((call, grpc.StatusCode.INVALID_ARGUMENT) for call in INVALID),
    ],
    ids=lambda value: getattr(value, "method", None),
)
def test_the_others_say_what_they_lack(
    reflected: Reflected, call: Call, code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        reflected.call(call)
    assert refused.value.code() == code
