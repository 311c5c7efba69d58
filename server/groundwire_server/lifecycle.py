"""The life of a server: listen, start, serve, and stop, each in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import grpc
import psutil
from google.protobuf.descriptor import ServiceDescriptor

from groundwire_server.addresses import Address
from groundwire_server.blocking import run_blocking
from groundwire_server.components import Components
from groundwire_server.data_dir import DataDir
from groundwire_server.interceptors.admission import Admission
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.identity import identity
from groundwire_server.interceptors.method import Interceptor
from groundwire_server.interceptors.methods import Methods
from groundwire_server.interceptors.telemetry import Telemetry
from groundwire_server.interceptors.tracing import CallTracing, NoTracing
from groundwire_server.interceptors.usage import uncounted
from groundwire_server.observability.endpoint import HttpMetrics, MetricsEndpoint, NoMetrics
from groundwire_server.observability.metrics import Metrics
from groundwire_server.process_settings import NO_METRICS
from groundwire_server.ready_file import NoReadyFile, ReadyFile
from groundwire_server.services.health import OVERALL, HealthService
from groundwire_server.settings import Settings
from groundwire_server.settings_record import record
from groundwire_server.stop_signals import run_until
from groundwire_server.transport import bind, channel_options, grpc_server

CHECK_PERIOD_S = 0.5
# Calls that were cut off get this long to let go of what they hold.
LET_GO_S = 5.0
# The collector of traces gets this long to take what is left for it.
HAND_ON_S = 5.0

Needs = Sequence[Sequence[str]]
"""Names of components, of each group of which one must work."""

log = logging.getLogger(__name__)


class Application(Protocol):
    """What a server serves; app.py composes the one that Groundwire is."""

    @property
    def components(self) -> Components:
        """The parts it is made of."""
        ...

    @property
    def services(self) -> Mapping[ServiceDescriptor, Needs]:
        """Each service, and what it needs to serve."""
        ...

    def register(self, registry: grpc.aio.Server) -> None:
        """Add the servicers. Called once, when all components have started."""
        ...


class Server:
    """Serves an application, from `run` until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        application: Application,
        admission: Admission,
        metrics: Metrics,
        *,
        tracing: CallTracing | None = None,
        counting: Interceptor = uncounted,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._application = application
        self._components = application.components
        self._admission = admission
        self._tracing = tracing or NoTracing()
        self._sleep = sleep
        names = [service.full_name for service in application.services]
        self._methods = Methods(
            [Telemetry(metrics), self._tracing, errors, identity, counting, admission],
            max_message_bytes=settings.max_message_bytes,
            reader_patience_s=settings.reader_patience_s,
        )
        self._health = HealthService(names)
        self._grpc = grpc_server(
            channel_options(settings.max_message_bytes), self._methods, self._health, names
        )
        self._endpoint = _endpoint(settings, metrics)
        self._ready_file = ReadyFile(settings.ready_file) if settings.ready_file else NoReadyFile()
        self.addresses: dict[str, str | None] = {}
        """Where it listens, once it does: "grpc", and "metrics" or None."""
        self._was_serving = False
        metrics.observe_components(lambda: self._components.conditions)

    async def run(
        self, stopping: asyncio.Event, *, opened: Callable[[], None] = lambda: None
    ) -> bool:
        """Serve until the event is set, then stop in order. Calls ``opened`` before it serves.

        Returns whether it came to serve, rather than being stopped while it started. Raises a
        GroundwireError if it cannot listen, or a component cannot start.
        """
        with DataDir(self._settings.data_dir) as data_dir:
            await run_blocking(record, self._settings)
            try:
                await self._listen(data_dir)
                if await run_until(stopping, self._start()):
                    opened()
                    self._open()
                    await run_until(stopping, self._watch_components())
            finally:
                await self._stop()
        log.info("stopped")
        return self._was_serving

    async def _listen(self, data_dir: DataDir) -> None:
        """Take the ports first: health can be asked, and calls are told to come back."""
        self._ready_file.prepare()
        if not self._settings.insecure:
            _require_loopback(self._settings)
        for service in self._application.services:
            self._methods.expect(service)
        bound = bind(self._grpc, Address.parse(self._settings.listen), "--listen")
        metrics = self._endpoint.open()
        self.addresses = {"grpc": str(bound), "metrics": str(metrics) if metrics else None}
        data_dir.announce(str(bound))
        await self._grpc.start()
        log.info("starting", extra=self.addresses)

    async def _start(self) -> None:
        await self._components.start()
        await self._components.check()

    def _open(self) -> None:
        self._application.register(self._methods.registry)
        self._admission.open()
        self._health.set(OVERALL, True)
        self._report_health()
        self._was_serving = True
        self._ready_file.write(self.addresses)
        seconds = time.time() - psutil.Process().create_time()
        log.info("serving", extra={**self.addresses, "seconds": round(seconds, 1)})

    async def _watch_components(self) -> None:
        while True:
            await self._sleep(CHECK_PERIOD_S)
            await self._components.check()
            self._report_health()

    def _report_health(self) -> None:
        for service, needed in self._application.services.items():
            serves = all(map(self._components.is_any_ready, needed))
            self._health.set(service.full_name, serves)

    async def _stop(self) -> None:
        self._health.stop()
        await self._serve_late_requests()
        self._admission.close()
        await self._drain()
        self._admission.cut_off()
        await self._grpc.stop(None)
        await self._admission.wait_idle(LET_GO_S)
        await self._tracing.close(min(HAND_ON_S, self._settings.stop_grace_s))
        await self._components.close()
        await run_blocking(self._endpoint.close)
        self._ready_file.remove()

    async def _serve_late_requests(self) -> None:
        """Load balancers take a moment to see NOT_SERVING, and go on sending until then."""
        if self._was_serving:
            await self._sleep(self._settings.stop_delay_s)

    async def _drain(self) -> None:
        """New calls are refused in words, which they would not be if gRPC were stopped now."""
        if not await self._admission.wait_idle(self._settings.stop_grace_s):
            log.warning("stop_grace_s is over: %d calls are cut off", self._admission.running)


def _endpoint(settings: Settings, metrics: Metrics) -> MetricsEndpoint:
    if settings.metrics_listen == NO_METRICS:
        return NoMetrics()
    return HttpMetrics(Address.parse(settings.metrics_listen), metrics.registry)


def _require_loopback(settings: Settings) -> None:
    Address.parse(settings.listen).require_loopback("--listen")
    if settings.metrics_listen != NO_METRICS:
        Address.parse(settings.metrics_listen).require_loopback("--metrics-listen")
