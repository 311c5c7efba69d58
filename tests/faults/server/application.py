"""A small application for the server's life: components and calls that wait to be released."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from groundwire.v1 import generate_service_pb2 as generate_pb
from groundwire.v1 import generate_service_pb2_grpc as generate_pb_grpc
from groundwire.v1 import memory_service_pb2 as memory_pb
from groundwire.v1 import memory_service_pb2_grpc as memory_pb_grpc
from groundwire_index.errors import GroundwireError
from groundwire_server.components import Components
from groundwire_server.interceptors.admission import Admission
from groundwire_server.lifecycle import Server
from groundwire_server.observability.metrics import Metrics
from groundwire_server.settings import Settings
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.patience import PATIENCE_S

GENERATE = "groundwire.v1.GenerateService"
MEMORY = "groundwire.v1.MemoryService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Part:
    """A component that starts when told, fails when told, and notes its life in a diary."""

    def __init__(self, name: str, diary: list[str], *, started: bool = True) -> None:
        self.name = name
        self.starting = asyncio.Event()
        self.may_start = asyncio.Event()
        if started:
            self.may_start.set()
        self.error: GroundwireError | None = None
        self._diary = diary

    async def start(self) -> None:
        self.starting.set()
        await self.may_start.wait()
        await self.check()

    async def check(self) -> None:
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        self._diary.append(f"{self.name} closed")


class SlowGenerate(generate_pb_grpc.GenerateServiceServicer):
    """Streams one piece, and another when released."""

    def __init__(self, diary: list[str]) -> None:
        self.release = asyncio.Event()
        self._diary = diary

    async def Generate(self, request, context):  # noqa: N802
        try:
            yield piece("first")
            await self.release.wait()
            yield piece("last")
        finally:
            self._diary.append("call ended")

    async def CountTokens(self, request, context):  # noqa: N802
        return generate_pb.CountTokensResponse(token_count=len(request.text))


class Application:
    """Two services over two components."""

    def __init__(self, *, started: bool = True) -> None:
        self.diary: list[str] = []
        self.store = Part("sessions", self.diary, started=started)
        self.engine = Part("engine/slow", self.diary, started=started)
        self.generate = SlowGenerate(self.diary)
        self.components = Components([self.store, self.engine])

    @property
    def services(self) -> Mapping[ServiceDescriptor, Sequence[Sequence[str]]]:
        return {
            generate_pb.DESCRIPTOR.services_by_name["GenerateService"]: [["engine/slow"]],
            memory_pb.DESCRIPTOR.services_by_name["MemoryService"]: [["sessions"]],
        }

    def register(self, registry: grpc.aio.Server) -> None:
        generate_pb_grpc.add_GenerateServiceServicer_to_server(self.generate, registry)
        memory_pb_grpc.add_MemoryServiceServicer_to_server(
            memory_pb_grpc.MemoryServiceServicer(), registry
        )


class Ticks:
    """A clock that stands still: who sleeps is woken by `tick`."""

    def __init__(self) -> None:
        self._sleepers: dict[float, asyncio.Future[None]] = {}
        self._slept = asyncio.Condition()

    async def sleep(self, seconds: float) -> None:
        async with self._slept:
            woken = self._sleepers[seconds] = asyncio.get_running_loop().create_future()
            self._slept.notify_all()
        await woken

    async def asleep(self, seconds: float) -> None:
        """Return when someone sleeps for that long."""
        async with self._slept:
            await self._slept.wait_for(lambda: seconds in self._sleepers)

    async def tick(self, seconds: float) -> None:
        """Let that time pass, and wait until whoever slept sleeps again."""
        await self.wake(seconds)
        await self.asleep(seconds)

    async def wake(self, seconds: float) -> None:
        await self.asleep(seconds)
        self._sleepers.pop(seconds).set_result(None)


@dataclass
class Running:
    """A server in this process, with clients of it."""

    server: Server
    stopping: asyncio.Event
    life: asyncio.Task[bool]
    channel: grpc.aio.Channel
    ticks: Ticks
    admission: Admission

    @property
    def generate(self) -> generate_pb_grpc.GenerateServiceAsyncStub:
        return generate_pb_grpc.GenerateServiceStub(self.channel)

    @property
    def memory(self) -> memory_pb_grpc.MemoryServiceAsyncStub:
        return memory_pb_grpc.MemoryServiceStub(self.channel)

    @property
    def health(self) -> health_pb2_grpc.HealthStub:
        return health_pb2_grpc.HealthStub(self.channel)

    async def status(self, service: str) -> int:
        answer = await self.health.Check(health_pb2.HealthCheckRequest(service=service))
        return answer.status

    def watch(self, service: str):
        return self.health.Watch(health_pb2.HealthCheckRequest(service=service))

    async def until(self, service: str, status: int) -> None:
        async for answer in self.watch(service):
            if answer.status == status:
                return


def settings_of(data_dir: Path, **values: object) -> Settings:
    chosen = {"listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:0", "stop_delay_s": 7.0}
    return Settings(data_dir=data_dir, **{**chosen, **values})


@asynccontextmanager
async def run(settings: Settings, application: Application) -> AsyncIterator[Running]:
    """Run a server until the block ends; it listens already, and may still be starting."""
    ticks = Ticks()
    stopping = asyncio.Event()
    admission = Admission(settings.max_concurrent_calls)
    server = Server(settings, application, admission, Metrics(), sleep=ticks.sleep)
    life = asyncio.create_task(server.run(stopping))
    listening = asyncio.create_task(application.store.starting.wait())
    await asyncio.wait((life, listening), return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    if life.done():
        life.result()
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            grpc.aio.insecure_channel(server.addresses["grpc"]) as channel,
        ):
            yield Running(server, stopping, life, channel, ticks, admission)
    finally:
        application.generate.release.set()
        stopping.set()
        delay = asyncio.create_task(ticks.wake(settings.stop_delay_s))
        await asyncio.wait((life, delay), return_when=asyncio.FIRST_COMPLETED)
        delay.cancel()
        await life


def piece(text: str) -> generate_pb.GenerateResponse:
    return generate_pb.GenerateResponse(text_delta=generate_pb.TextDelta(text=text))
