"""What an interceptor wraps: one method of one service, whatever its kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

Context = grpc.aio.ServicerContext[Any, Any]

Call = Callable[[Any, Context], Awaitable[Any]]
"""One call: takes the request, or an async iterator of requests, and gives the response, or
writes the responses to the context and gives None."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the API."""

    service: str
    """Full name, e.g. "groundwire.v1.AdminService"."""
    name: str
    """E.g. "GetServerInfo"."""

    @property
    def path(self) -> str:
        """The HTTP/2 path, e.g. "/groundwire.v1.AdminService/GetServerInfo"."""
        return f"/{self.service}/{self.name}"


Interceptor = Callable[[Method, Call], Call]
"""Wraps a method once, when it is registered. What it returns runs on every call.

It must let ``CancelledError`` and ``grpc.aio.AbortError`` pass: the one says that the client
has gone, the other that the status has been sent.
"""
