from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import numpy as np
import pytest
from groundwire.v1 import admin_service_pb2 as pb
from groundwire.v1 import admin_service_pb2_grpc as pb_grpc
from groundwire_index.errors import UnavailableError
from groundwire_index.records import Fingerprint
from groundwire_server.components import Components
from groundwire_server.embedders.batcher import Batcher
from groundwire_server.embedders.embedder import Embedder, EmbedKind, Priority
from groundwire_server.embedders.encoder import Tokens
from groundwire_server.embedders.remote import RemoteEmbedder
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.engines.breaker import Breaker
from groundwire_server.engines.extractive import ExtractiveEngine
from groundwire_server.engines.models import Models, RouteSpec
from groundwire_server.engines.served_model import ServedModel, Targets
from groundwire_server.interceptors.admission import Admission
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.identity import identity
from groundwire_server.interceptors.methods import Methods
from groundwire_server.parts import RunningEmbedder, RunningModel
from groundwire_server.running import RunningRequests
from groundwire_server.services.admin import AdminService
from groundwire_server.usage.report import NoReports
from groundwire_server.waiting import Waiting
from numpy.typing import NDArray

from tests.patience import PATIENCE_S
from tests.unit.grounding.scripted_engine import ScriptedEngine

STARTED = datetime(2026, 1, 31, tzinfo=UTC)


class SmallEmbedder(SentenceTransformersEmbedder):
    """Has a fingerprint, and no model."""

    fingerprint = Fingerprint("small", "1", "mean", "", "", 3, normalized=True)
    max_tokens = 7

    async def start(self) -> None:
        pass


class FailingEngine(ExtractiveEngine):
    async def check(self) -> None:
        raise UnavailableError("the engine is down")


class Admin:
    """An AdminService over two components, one of which fails unless it is another."""

    def __init__(
        self,
        embedder: Embedder | None = None,
        engine: ExtractiveEngine | None = None,
        models: Models | None = None,
    ) -> None:
        embedder = embedder or SmallEmbedder("small")
        if models is None:
            model = ServedModel(engine or FailingEngine(embedder))
            models = Models([model], default=model.model)
        self.components = Components([RunningEmbedder(embedder), *map(RunningModel, models)])
        self.running = RunningRequests()
        self.admission = Admission(8)
        self.admission.open()
        self.service = AdminService(
            start_time=STARTED,
            components=self.components,
            models=models,
            embedder=embedder,
            admission=self.admission,
            running=self.running,
            usage=NoReports(),
            caches={},
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[pb_grpc.AdminServiceAsyncStub]:
        methods = Methods([errors, identity, self.admission])
        pb_grpc.add_AdminServiceServicer_to_server(self.service, methods.registry)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((methods,))
        port = server.add_insecure_port("127.0.0.1:0")
        await self.components.start()
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield pb_grpc.AdminServiceStub(channel)
        await server.stop(None)


async def test_it_says_what_the_server_is_and_how_its_parts_are() -> None:
    admin = Admin()
    async with admin.serving() as stub:
        await admin.components.check()
        info = await stub.GetServerInfo(pb.GetServerInfoRequest())
    assert info.start_time.ToDatetime(UTC) == STARTED
    assert info.version
    assert (info.default_model, info.default_embedder) == ("extractive", "small")
    embedder, engine = info.components
    assert (embedder.name, embedder.state) == ("embedder", pb.COMPONENT_STATE_READY)
    assert (engine.name, engine.state) == ("engine/extractive", pb.COMPONENT_STATE_FAILED)
    assert engine.detail == "the engine is down"


async def test_it_says_how_its_parts_are_while_the_embedder_is_out_of_reach() -> None:
    admin = Admin(RemoteEmbedder("http://127.0.0.1:9/v1", "far"))
    async with admin.serving() as stub:
        await admin.components.check()
        info = await stub.GetServerInfo(pb.GetServerInfoRequest())
        listed = await stub.ListModels(pb.ListModelsRequest())
        await admin.components.close()
    assert info.default_embedder == ""
    embedder, _ = info.components
    assert (embedder.name, embedder.state) == ("embedder", pb.COMPONENT_STATE_FAILED)
    assert "cannot be reached" in embedder.detail
    assert [model.task for model in listed.models] == [pb.MODEL_TASK_GENERATE]


async def test_it_lists_the_models_that_requests_may_name() -> None:
    async with Admin().serving() as stub:
        generate, embed = (await stub.ListModels(pb.ListModelsRequest())).models
    assert (generate.name, generate.task) == ("extractive", pb.MODEL_TASK_GENERATE)
    assert generate.default
    assert (embed.name, embed.task) == ("small", pb.MODEL_TASK_EMBED)
    assert (embed.fingerprint.dimension, embed.context_length) == (3, 7)


async def test_it_lists_their_adapters_which_are_as_they_are() -> None:
    engine = ScriptedEngine([], model="a", context_length=100)
    engine.adapters = ("legal", "medical")
    route = RouteSpec("live", {"legal": 1})
    models = Models([ServedModel(engine)], default="legal", routes=[route])
    async with Admin(models=models).serving() as stub:
        base, *adapters, live, _ = (await stub.ListModels(pb.ListModelsRequest())).models
    assert (base.name, base.adapter_of, base.default) == ("a", "", False)
    assert [(one.name, one.adapter_of) for one in adapters] == [("legal", "a"), ("medical", "a")]
    assert [one.default for one in adapters] == [True, False]
    for one in (*adapters, live):
        assert (one.context_length, one.state) == (100, base.state)


async def test_it_lists_the_routes_to_them() -> None:
    names = ("a", "b", "c")
    breaker = Breaker("b", failures=1, open_s=1000)
    models = [
        ServedModel(
            ScriptedEngine([], model=name, context_length=100),
            breaker=breaker if name == "b" else None,
            targets=Targets(0.5, 60) if name == "a" else None,
        )
        for name in names
    ]
    route = RouteSpec("live", {"a": 95, "b": 5}, ("c",))
    with pytest.raises(UnavailableError), breaker.attempt():
        raise UnavailableError("down")
    admin = Admin(models=Models(models, routes=[route], default="live"))
    async with admin.serving() as stub:
        await admin.components.check()
        listed = {one.name: one for one in (await stub.ListModels(pb.ListModelsRequest())).models}
    live = listed["live"]
    assert (live.engine, live.default, live.context_length) == ("route", True, 100)
    assert live.state == pb.COMPONENT_STATE_READY
    assert [(one.name, one.weight) for one in live.models] == [("a", 95), ("b", 5), ("c", 0)]
    assert [listed[name].default for name in names] == [False] * 3
    assert [listed[name].breaker for name in names] == [
        pb.BREAKER_STATE_CLOSED,
        pb.BREAKER_STATE_OPEN,
        pb.BREAKER_STATE_CLOSED,
    ]
    assert listed["b"].state == pb.COMPONENT_STATE_FAILED
    assert (listed["a"].latency_target.nanos, listed["a"].throughput_target) == (500_000_000, 60)
    assert not listed["c"].HasField("latency_target")


async def test_it_tells_the_load() -> None:
    async with Admin().serving() as stub:
        load = await stub.GetLoad(pb.GetLoadRequest())
    assert load.running_requests == 0
    assert load.resident_bytes > 10 * 2**20
    assert [(one.model, one.running_requests) for one in load.models] == [("extractive", 0)]


class StandingEmbedder(SmallEmbedder):
    """Its model stands still until it is let go."""

    async def start(self) -> None:
        self.go, self.entered = threading.Event(), threading.Event()
        self.batcher = self._batcher = Batcher(self._stand, dimension=3, batch_tokens=16)

    def _stand(self, batch: Sequence[Tokens]) -> NDArray[np.float32]:
        self.entered.set()
        assert self.go.wait(PATIENCE_S)
        return np.zeros((len(batch), 3), np.float32)


class BusyEngine(ExtractiveEngine):
    """As an engine is to which two prompts have just come."""

    waiting = Waiting(2, 300)


async def test_it_tells_what_waits_for_the_models() -> None:
    embedder = StandingEmbedder("small")
    admin = Admin(embedder, BusyEngine(embedder))
    text = Tokens("text", EmbedKind.QUERY, [0] * 5, truncated=False)

    def embed() -> asyncio.Task[NDArray[np.float32]]:
        return asyncio.create_task(embedder.batcher.run([text], Priority.INTERACTIVE))

    async with admin.serving() as stub:
        begun = embed()
        assert await asyncio.to_thread(embedder.entered.wait, PATIENCE_S)
        waits = [embed(), embed()]
        load = await stub.GetLoad(pb.GetLoadRequest())
        assert (load.queued_requests, load.queued_tokens) == (2 + 2, 2 * 5 + 300)
        embedder.go.set()
        await asyncio.gather(begun, *waits)
        load = await stub.GetLoad(pb.GetLoadRequest())
        assert (load.queued_requests, load.queued_tokens) == (2, 300)
    await embedder.close()


async def test_it_ends_a_request_of_the_callers_tenant_only() -> None:
    admin = Admin()
    ours = (("groundwire-tenant", "ours"),)
    async with admin.serving() as stub:
        with admin.running.register("r1", "ours") as aborted:
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await stub.Abort(pb.AbortRequest(request_id="r1"))
            assert ended.value.code() is grpc.StatusCode.NOT_FOUND
            assert not aborted.is_set()
            await stub.Abort(pb.AbortRequest(request_id="r1"), metadata=ours)
            assert aborted.is_set()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stub.Abort(pb.AbortRequest(request_id="r1"), metadata=ours)
        assert ended.value.code() is grpc.StatusCode.NOT_FOUND


async def test_an_abort_has_to_name_a_request() -> None:
    async with Admin().serving() as stub:
        with pytest.raises(grpc.aio.AioRpcError, match="request_id: must not be empty"):
            await stub.Abort(pb.AbortRequest())
