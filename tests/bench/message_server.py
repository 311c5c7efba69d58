"""This server, whole but for its models: the one it has says a token when it is told to.

A token is made when the one before has been written, so that none are joined.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from groundwire.v1 import generate_service_pb2 as pb
from groundwire.v1 import generate_service_pb2_grpc as pb_grpc
from groundwire_server.components import Components
from groundwire_server.engines.engine import Accepted, Begun, EngineEvent, EngineRequest, TextPiece
from groundwire_server.engines.fair_queue import Limits
from groundwire_server.engines.models import Models
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.answer import Answers
from groundwire_server.grounding.prepare import Preparation
from groundwire_server.grounding.similarity import EmbeddedSimilarity
from groundwire_server.interceptors.admission import Admission
from groundwire_server.lifecycle import Server
from groundwire_server.observability.metrics import Metrics
from groundwire_server.running import RunningRequests
from groundwire_server.serve import run
from groundwire_server.services.generate import GenerateService
from groundwire_server.settings import Settings
from groundwire_server.settings_sources import load, parser

from tests.bench.stream_server import TOKENS
from tests.unit.grounding.scripted_engine import ScriptedEngine, saying


class Paced(ScriptedEngine):
    """Makes each token when the stream has taken the one before."""

    def __init__(self) -> None:
        super().__init__(saying(""))
        # Not events: those cost a twentieth of a message, and are no part of the server.
        self.taken: dict[str, asyncio.Future[None]] = {}

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        new_future = asyncio.get_running_loop().create_future
        taken = self.taken[request.request_id] = new_future()
        yield Accepted()
        yield Begun()
        for _ in range(TOKENS):
            await taken
            taken = self.taken[request.request_id] = new_future()
            yield TextPiece(" token", 1)
        for event in self.script[1:]:
            yield event
        del self.taken[request.request_id]


class PacingService(GenerateService):
    """Tells the engine of each message that was written."""

    def __init__(self, engine: Paced) -> None:
        model = ServedModel(engine, Limits(10_000, 0, 2**20))
        preparation = Preparation(None, None, max_tokens=TOKENS, passage_tokens=2048)
        super().__init__(
            Models([model], default=model.model),
            Answers(preparation, EmbeddedSimilarity(None)),
            RunningRequests(),
            Metrics().generation,
            reader_patience_s=30.0,
        )
        self._engine = engine

    async def Generate(  # noqa: N802
        self, request: pb.GenerateRequest, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[pb.GenerateResponse, None]:
        messages = super().Generate(request, context)
        started = await anext(messages)
        yield started
        request_id, taken = started.started.request_id, self._engine.taken
        taken[request_id].set_result(None)
        async for message in messages:
            yield message
            if request_id in taken:
                taken[request_id].set_result(None)


class Application:
    """GenerateService alone."""

    components = Components([])

    @property
    def services(self) -> Mapping[ServiceDescriptor, Sequence[str]]:
        return {pb.DESCRIPTOR.services_by_name["GenerateService"]: []}

    def register(self, registry: grpc.aio.Server) -> None:
        pb_grpc.add_GenerateServiceServicer_to_server(PacingService(Paced()), registry)


def composed(settings: Settings) -> Server:
    admission = Admission(settings.max_concurrent_calls)
    return Server(settings, Application(), admission, Metrics())


if __name__ == "__main__":
    from groundwire_server.observability import logs

    settings = load(parser("serve"), sys.argv[1:]).settings
    logs.configure(settings.log_level, settings.log_format)
    run(settings, composed)
