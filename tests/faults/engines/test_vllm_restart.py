"""A whole server whose vLLM is killed, and comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psutil
import pytest
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire.v1.generate_service_pb2_grpc import GenerateServiceStub
from groundwire.v1.generation_pb2 import Grounding, SamplingParameters
from groundwire.v1.record_pb2 import Record
from groundwire.v1.retrieve_service_pb2 import (
    CreateCollectionRequest,
    UpsertRequest,
)
from groundwire.v1.retrieve_service_pb2_grpc import RetrieveServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.generate.serving import rest_of
from tests.e2e.serving import ServerProcess
from tests.models import small_llama

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
# It starts vLLM, on whatever else the machine does.
PATIENCE_S = 300.0

pytestmark = pytest.mark.vllm


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    process = ServerProcess(
        tmp_path / "data",
        *("--vllm-model", str(small_llama()), "--vllm-name", "small"),
        *("--vllm-args", '{"enforce_eager": true, "dtype": "float32"}'),
    )
    await asyncio.to_thread(process.spawn)
    yield process
    await asyncio.to_thread(process.stop)


async def become(channel: grpc.aio.Channel, status: int) -> None:
    """Wait until Generate has this health."""
    request = health_pb2.HealthCheckRequest(service="groundwire.v1.GenerateService")
    async for answer in health_pb2_grpc.HealthStub(channel).Watch(request, timeout=PATIENCE_S):
        if answer.status == status:
            return


def core_of(server: ServerProcess) -> psutil.Process:
    (core,) = (
        child
        for child in psutil.Process(server.pid).children()
        if "EngineCore" in "".join(child.cmdline()) or "spawn_main" in " ".join(child.cmdline())
    )
    return core


async def test_a_killed_engine_is_noticed_stood_in_for_and_started_again(
    server: ServerProcess,
) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        await become(channel, SERVING)
        generate = GenerateServiceStub(channel)
        retrieve = RetrieveServiceStub(channel)
        await retrieve.CreateCollection(CreateCollectionRequest(name="notes"))
        note = Record(id="mirror", text="The main mirror is 2.4 metres wide.")
        await retrieve.Upsert(UpsertRequest(collection="notes", records=[note]))
        free = GenerateRequest(prompt="The dome", sampling=SamplingParameters(max_tokens=100_000))
        grounded = GenerateRequest(
            prompt="How wide is the main mirror?",
            grounding=Grounding(collection="notes"),
            sampling=SamplingParameters(max_tokens=64),
        )
        stream = generate.Generate(free)
        for _ in range(3):
            await stream.read()

        began = time.monotonic()
        core_of(server).kill()
        with pytest.raises(grpc.aio.AioRpcError, match="has died") as cut:
            await rest_of(stream)
        await become(channel, NOT_SERVING)
        noticed_s = time.monotonic() - began
        assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
        # A second on a machine with nothing else to do; a restart takes many.
        assert noticed_s < 5

        answer = await generate.Complete(CompleteRequest(request=grounded))
        assert "2.4 metres" in answer.text
        assert (answer.engine, answer.finished.degraded) == ("extractive", True)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await generate.Complete(CompleteRequest(request=free))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

        await become(channel, SERVING)
        free.sampling.max_tokens = 5
        answer = await generate.Complete(CompleteRequest(request=free))
        assert (answer.engine, answer.finished.usage.completion_tokens) == ("vllm", 5)
        assert not answer.finished.degraded
    children = psutil.Process(server.pid).children(recursive=True)
    assert await asyncio.to_thread(server.stop) == 0
    assert psutil.wait_procs(children, timeout=10)[1] == []
