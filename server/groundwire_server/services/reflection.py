"""Server reflection: tools such as grpcurl and `buf curl` learn the contract from the server."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

# The messages of both versions are the same on the wire. Newer tools ask for the first.
VERSIONS = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)


def add_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Describe these services, and reflection itself."""
    # The stubs of grpcio-reflection leave its asyncio half out.
    aio = reflection.aio  # type: ignore[attr-defined]
    servicer = aio.ReflectionServicer((*services, reflection.SERVICE_NAME))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        ServerReflectionRequest.FromString,
        ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(version, {"ServerReflectionInfo": handler})
            for version in VERSIONS
        )
    )
