"""EmbedService on a real socket, with the real interceptors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from groundwire.v1.embed_service_pb2_grpc import (
    EmbedServiceStub,
    add_EmbedServiceServicer_to_server,
)
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.identity import identity
from groundwire_server.interceptors.method import Interceptor
from groundwire_server.interceptors.methods import Methods
from groundwire_server.services.embed import EmbedService


@asynccontextmanager
async def serving(embedder: Embedder, *interceptors: Interceptor) -> AsyncIterator[Any]:
    """A stub of the service over an embedder that has been started."""
    methods = Methods([errors, identity, *interceptors])
    add_EmbedServiceServicer_to_server(EmbedService(embedder), methods.registry)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((methods,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    # Without probes the window of a stream stays at 64 KiB.
    options = [("grpc.max_receive_message_length", -1), ("grpc.http2.bdp_probe", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield EmbedServiceStub(channel)
    await server.stop(None)
