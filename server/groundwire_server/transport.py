"""The gRPC server: what is set on its channels, and what is registered with it."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from groundwire_index.errors import FailedPreconditionError
from grpc_health.v1 import health, health_pb2_grpc

from groundwire_server.addresses import Address
from groundwire_server.interceptors.decoding import receive_limit
from groundwire_server.interceptors.methods import Methods
from groundwire_server.services.health import HealthService
from groundwire_server.services.reflection import add_reflection

ChannelOptions = list[tuple[str, int]]


def channel_options(
    max_message_bytes: int, *, min_ping_interval_s: float = 10.0, keepalive_s: float = 30.0
) -> ChannelOptions:
    """The options of every connection.

    ``min_ping_interval_s``: clients that ping more often are cut off, so that many idle ones
    cost little. ``keepalive_s``: a client that is gone without a word is found out after this
    and ten seconds more, and what its calls hold is freed.
    """
    return [
        # A second server on the same port fails, rather than getting half of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", receive_limit(max_message_bytes)),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", round(keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", round(min_ping_interval_s * 1000)),
    ]


def grpc_server(
    options: ChannelOptions,
    methods: Methods,
    health_service: HealthService,
    services: Iterable[str],
) -> grpc.aio.Server:
    """A server of these methods, of health, and of reflection; not yet listening."""
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((methods,))
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    add_reflection(server, (*services, health.SERVICE_NAME))
    return server


def bind(server: grpc.aio.Server, address: Address, setting: str) -> Address:
    """Take the port. Raises FailedPreconditionError, which says why it cannot be had."""
    address.require_free(setting)
    try:
        return Address(address.host, server.add_insecure_port(str(address)))
    except RuntimeError as error:
        raise FailedPreconditionError(
            f"cannot listen on {setting} {address}: {error}", reason="ADDRESS_UNUSABLE"
        ) from error
