"""How a client connects: target, who is calling, deadlines, channel options."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

import grpc

Option = tuple[str, str | int]

# As the server reads them; gRPC would refuse others without saying which.
_IDENTITY = re.compile(r"[A-Za-z0-9._:@-]{1,128}")

LOOPBACK = ("localhost", "127.", "[::1]", "unix:")


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything that a transport needs to open a channel and make calls on it."""

    target: str = "localhost:50051"
    tenant: str = ""
    subject: str = ""
    timeout: float = 30.0
    generation_timeout: float = 600.0
    credentials: grpc.ChannelCredentials | None = None
    keepalive: float = 60.0
    max_message_bytes: int = 64 * 2**20
    metadata: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[Option] = ()

    def __post_init__(self) -> None:
        for name, value in (("tenant", self.tenant), ("subject", self.subject)):
            if value and not _IDENTITY.fullmatch(value):
                raise ValueError(
                    f"{name} {value!r} is not allowed: 1 to 128 characters of [A-Za-z0-9._:@-]"
                )

    def call_metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of every call."""
        identity = {"groundwire-tenant": self.tenant, "groundwire-subject": self.subject}
        named = {key: value for key, value in identity.items() if value}
        return tuple({**named, **self.metadata}.items())

    def deadline(self, timeout: float | None, *, generates: bool) -> float | None:
        """Seconds a call may take: its own, else the client's; None for no limit."""
        if timeout is None:
            timeout = self.generation_timeout if generates else self.timeout
        return None if timeout == math.inf else timeout

    def channel_options(self) -> list[Option]:
        """Options for gRPC; those given by the caller come last and win."""
        return [
            ("grpc.primary_user_agent", "groundwire-python"),
            ("grpc.service_config", service_config()),
            # A request larger than this is sent once: gRPC keeps it in memory to repeat it.
            ("grpc.per_rpc_retry_buffer_size", 16 * 2**20),
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            # Only while a call is in progress; a dead peer is noticed within twenty seconds more.
            ("grpc.keepalive_time_ms", _milliseconds(self.keepalive)),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.max_pings_without_data", 0),
            # A proxy set in the environment is for the world outside, not for this machine.
            ("grpc.enable_http_proxy", int(not self.target.startswith(LOOPBACK))),
            *self.options,
        ]


def service_config() -> str:
    """The shipped service config, as JSON: which calls gRPC repeats, when and how often."""
    return resources.files("groundwire").joinpath("service_config.json").read_text()


def _milliseconds(seconds: float) -> int:
    return 2**31 - 1 if seconds == math.inf else round(seconds * 1000)
