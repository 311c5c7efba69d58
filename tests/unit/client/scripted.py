"""Servers that answer by a script, for the clients to be tested against."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import groundwire
import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from groundwire.v1 import (
    admin_service_pb2_grpc,
    embed_service_pb2_grpc,
    generate_service_pb2_grpc,
    memory_service_pb2_grpc,
    retrieve_service_pb2_grpc,
)
from grpc_status import rpc_status

from tests.patience import PATIENCE_S

Servicer = (
    admin_service_pb2_grpc.AdminServiceServicer
    | embed_service_pb2_grpc.EmbedServiceServicer
    | generate_service_pb2_grpc.GenerateServiceServicer
    | memory_service_pb2_grpc.MemoryServiceServicer
    | retrieve_service_pb2_grpc.RetrieveServiceServicer
)
ADD = {
    "AdminServiceServicer": admin_service_pb2_grpc.add_AdminServiceServicer_to_server,
    "EmbedServiceServicer": embed_service_pb2_grpc.add_EmbedServiceServicer_to_server,
    "GenerateServiceServicer": generate_service_pb2_grpc.add_GenerateServiceServicer_to_server,
    "MemoryServiceServicer": memory_service_pb2_grpc.add_MemoryServiceServicer_to_server,
    "RetrieveServiceServicer": retrieve_service_pb2_grpc.add_RetrieveServiceServicer_to_server,
}


@contextmanager
def serving(*servicers: Servicer) -> Iterator[str]:
    """Serve on a free port; the address."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    for servicer in servicers:
        ADD[type(servicer).__mro__[1].__name__](servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


class Blocking:
    """Makes a call with `Client`, on a thread."""

    async def __call__(
        self, address: str, make: Callable[[groundwire.Client], Any], **options: Any
    ) -> Any:
        def work() -> Any:
            with groundwire.Client(address, **options) as client:
                result = make(client)
                return list(result) if isinstance(result, Iterator) else result

        return await asyncio.to_thread(work)


class Asyncio:
    """Makes a call with `AsyncClient`."""

    async def __call__(
        self, address: str, make: Callable[[groundwire.AsyncClient], Any], **options: Any
    ) -> Any:
        async with groundwire.AsyncClient(address, **options) as client:
            result = make(client)
            if isinstance(result, Awaitable):
                return await result
            return [item async for item in result]


def failure(
    code: grpc.StatusCode,
    message: str,
    *,
    reason: str = "",
    metadata: dict[str, str] | None = None,
    fields: dict[str, str] | None = None,
    retry_after_s: float | None = None,
) -> grpc.Status:
    """A status with google.rpc details, as the server sends it."""
    details: list[Any] = []
    if reason:
        details.append(
            error_details_pb2.ErrorInfo(reason=reason, domain="groundwire", metadata=metadata)
        )
    if fields:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            for field, description in fields.items()
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(retry_after_s * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return rpc_status.to_status(
        status_pb2.Status(code=code.value[0], message=message, details=packed)
    )


class Flag(threading.Event):
    """An event that a test may await."""

    async def awaited(self) -> None:
        assert await asyncio.to_thread(self.wait, PATIENCE_S)
