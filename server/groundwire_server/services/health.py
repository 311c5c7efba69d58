"""grpc.health.v1: whether each service can be called, now and as it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]

OVERALL = ""
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # It has no stubs.
    """Answers from what it was last told, so it never waits for the work of others.

    A service serves while the components that it needs work. The server as a whole (``""``)
    serves from the end of its start to the beginning of its stop: that one service lacks a
    component is no reason to take the others out of a load balancer.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._serving = dict.fromkeys((OVERALL, *services), False)
        self._changed = asyncio.Event()
        self._stopping = False

    def set(self, service: str, serving: bool) -> None:
        """Say whether a service can be called. Without effect after `stop`."""
        if self._serving[service] is not serving and not self._stopping:
            self._serving[service] = serving
            self._wake()

    def stop(self) -> None:
        """Say that no service can be called, for good."""
        self._stopping = True
        self._serving = dict.fromkeys(self._serving, False)
        self._wake()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Answer once; NOT_FOUND for a service that is not here."""
        if request.service not in self._serving:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f'there is no service "{request.service}"'
            )
        return self._response(request.service)

    async def List(
        self,
        request: health_pb2.HealthListRequest,
        context: Context,
    ) -> health_pb2.HealthListResponse:
        """Answer for every service."""
        return health_pb2.HealthListResponse(
            statuses={service: self._response(service) for service in self._serving}
        )

    async def Watch(
        self,
        request: health_pb2.HealthCheckRequest,
        context: Context,
    ) -> None:
        """Answer now and at each change; the stream stays open, for unknown services too."""
        told = None
        while True:
            changed = self._changed
            response = self._response(request.service)
            if response != told:
                await context.write(response)
                told = response
            else:
                await changed.wait()

    def _response(self, service: str) -> health_pb2.HealthCheckResponse:
        serving = self._serving.get(service)
        if serving is None:
            return health_pb2.HealthCheckResponse(status=SERVICE_UNKNOWN)
        return health_pb2.HealthCheckResponse(status=SERVING if serving else NOT_SERVING)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
