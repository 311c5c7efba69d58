"""GenerateService behind the real interceptors on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.rpc import error_details_pb2, status_pb2
from groundwire.v1.generate_service_pb2 import GenerateResponse
from groundwire.v1.generate_service_pb2_grpc import (
    GenerateServiceStub,
    add_GenerateServiceServicer_to_server,
)
from groundwire_index import Index
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.engine import Engine
from groundwire_server.engines.models import Models
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.answer import Answers
from groundwire_server.grounding.answering import Answering
from groundwire_server.grounding.prepare import Preparation
from groundwire_server.grounding.retrieve import Retriever
from groundwire_server.grounding.similarity import EmbeddedSimilarity, Similarity
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.identity import identity
from groundwire_server.interceptors.method import Interceptor
from groundwire_server.interceptors.methods import Methods
from groundwire_server.memory.known import Recall, nothing
from groundwire_server.memory.session import Sessions
from groundwire_server.observability.metrics import Metrics
from groundwire_server.running import RunningRequests
from groundwire_server.services.generate import GenerateService
from groundwire_server.services.left_answers import DroppedAnswers

from tests.patience import PATIENCE_S

ALICE = (("groundwire-tenant", "alice"),)
BOB = (("groundwire-tenant", "bob"),)

Serve = Callable[..., AbstractAsyncContextManager["Serving"]]


@dataclass(frozen=True)
class Serving:
    """A server that is up, and a client of it."""

    stub: GenerateServiceStub
    running: RunningRequests
    server: grpc.aio.Server
    metrics: Metrics
    address: str


@asynccontextmanager
async def serving(
    *engines: Engine | Models,
    index: Index,
    embedder: Embedder,
    sessions: Sessions,
    passage_tokens: int = 2048,
    similarity: Similarity | None = None,
    reader_patience_s: float = 30.0,
    interceptors: Sequence[Interceptor] = (errors, identity),
    recall: Recall = nothing,
    left: DroppedAnswers | None = None,
    around: Callable[[Answering, Metrics], Answering] = lambda answers, _: answers,
) -> AsyncIterator[Serving]:
    preparation = Preparation(
        Retriever(index, embedder),
        sessions,
        max_tokens=64,
        passage_tokens=passage_tokens,
        recall=recall,
    )
    running = RunningRequests()
    metrics = Metrics()
    answers = Answers(preparation, similarity or EmbeddedSimilarity(embedder, PATIENCE_S))
    service = GenerateService(
        models_of(*engines),
        around(answers, metrics),
        running,
        metrics.generation,
        reader_patience_s=reader_patience_s,
        left=left,
    )
    methods = Methods(interceptors, reader_patience_s=reader_patience_s)
    add_GenerateServiceServicer_to_server(service, methods)
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 32 * 2**20)])
    server.add_generic_rpc_handlers((methods,))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield Serving(GenerateServiceStub(channel), running, server, metrics, address)
    finally:
        await server.stop(None)


def models_of(*engines: Engine | Models) -> Models:
    """The models that are given, or that serve these engines; the first is the default."""
    if isinstance(engines[0], Models):
        return engines[0]
    models = [
        each if isinstance(each, ServedModel) else ServedModel(cast(Engine, each))
        for each in engines
    ]
    return Models(models, default=models[0].model)


async def rest_of(call: Any) -> list[GenerateResponse]:
    """What a stream of which some was read still holds."""
    events = []
    while (event := await call.read()) is not grpc.aio.EOF:
        events.append(event)
    return events


def kinds(events: list[GenerateResponse]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


def text_of(events: list[GenerateResponse]) -> str:
    return "".join(event.text_delta.text for event in events)


def details_of(error: grpc.aio.AioRpcError) -> dict[str, object]:
    """The google.rpc details of a status, by the name of their message."""
    found: dict[str, object] = {}
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for packed in status_pb2.Status.FromString(value).details:
                kind = packed.TypeName().rsplit(".", 1)[-1]
                message = getattr(error_details_pb2, kind)()
                packed.Unpack(message)
                found[kind] = message
    return found
