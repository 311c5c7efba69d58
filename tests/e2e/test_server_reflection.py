"""The tools that people debug gRPC with find every service and can call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.e2e.serving import ServerProcess

BUF = Path(sys.executable).with_name("buf")
SERVICES = [
    f"groundwire.v1.{name}Service" for name in ("Admin", "Embed", "Generate", "Memory", "Retrieve")
]
# A call that each service answers by itself: with success, or with what is wrong about it.
CALLS = {
    "AdminService/GetServerInfo": ("{}", "version"),
    "EmbedService/Embed": ('{"inputs": [{"text": "hello"}]}', "embeddings"),
    "GenerateService/CountTokens": ('{"text": "hello world"}', "tokenCount"),
    "MemoryService/CreateSession": ('{"title": "by buf curl"}', "session"),
    "RetrieveService/ListCollections": ("{}", ""),
}


def buf_curl(server: ServerProcess, *arguments: str) -> str:
    ended = subprocess.run(
        [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_buf_curl_lists_every_service(server: ServerProcess) -> None:
    listed = buf_curl(server, "--list-services", f"http://{server.address}").split()
    assert set(SERVICES) <= set(listed)
    assert "grpc.health.v1.Health" in listed


@pytest.mark.parametrize("method", CALLS)
def test_buf_curl_calls_every_service(server: ServerProcess, method: str) -> None:
    request, field = CALLS[method]
    url = f"http://{server.address}/groundwire.v1.{method}"
    answer = json.loads(buf_curl(server, "--data", request, url))
    assert not field or field in answer


def test_a_reflection_client_gets_the_whole_contract(server: ServerProcess) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in SERVICES
        ]
        answers = list(stub.ServerReflectionInfo(iter(asked)))
    for name, answer in zip(SERVICES, answers, strict=True):
        # The file that was asked for comes first, and those that it imports after it.
        data = answer.file_descriptor_response.file_descriptor_proto[0]
        file = descriptor_pb2.FileDescriptorProto.FromString(data)
        assert [f"{file.package}.{service.name}" for service in file.service] == [name]
