"""Several models in one server, each with an engine core of its own, behind one name."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from groundwire.v1.admin_service_pb2 import GetLoadRequest, ListModelsRequest
from groundwire.v1.admin_service_pb2_grpc import AdminServiceStub
from groundwire.v1.generate_service_pb2 import (
    CompleteRequest,
    CountTokensRequest,
    GenerateRequest,
)
from groundwire.v1.generate_service_pb2_grpc import GenerateServiceStub
from groundwire.v1.generation_pb2 import SamplingParameters

from tests.e2e.serving import ServerProcess
from tests.models import small_llama

pytestmark = pytest.mark.vllm

ARGS = {"enforce_eager": True, "dtype": "float32", "gpu_memory_utilization": 0.3}
MODELS = {
    "phi": {
        "preset": "phi-3-mini",
        "source": str(small_llama()),
        # Longer than this small model can be.
        "args": {**ARGS, "max_model_len": 128},
        "throughput_target": 7,
    },
    "other": {"source": str(small_llama()), "args": ARGS},
}
ROUTES = {"live": {"weights": {"phi": 1, "other": 1}, "fallbacks": ["extractive"]}}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    process = ServerProcess(
        tmp_path / "data",
        *("--models", json.dumps(MODELS), "--routes", json.dumps(ROUTES)),
        *("--default-model", "live"),
        start_s=300.0,
    )
    yield await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.stop)


def metrics_of(server: ServerProcess) -> str:
    with urllib.request.urlopen(f"http://{server.metrics_address}/metrics") as answer:
        return str(answer.read().decode())


async def test_two_models_answer_to_one_name(server: ServerProcess) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        generate, admin = GenerateServiceStub(channel), AdminServiceStub(channel)
        request = GenerateRequest(prompt="The dome", sampling=SamplingParameters(max_tokens=3))
        for name in MODELS:
            request.model = name
            answer = await generate.Complete(CompleteRequest(request=request))
            assert (answer.model, answer.engine) == (name, "vllm")
            assert answer.finished.usage.completion_tokens == 3
        request.model = ""
        found = {
            (await generate.Complete(CompleteRequest(request=request))).model for _ in range(20)
        }
        assert found == set(MODELS)
        counted = await generate.CountTokens(CountTokensRequest(model="phi", text="The dome"))
        assert counted.context_length == 128

        models = {one.name: one for one in (await admin.ListModels(ListModelsRequest())).models}
        assert [one.name for one in models["live"].models] == ["phi", "other", "extractive"]
        assert models["phi"].latency_target.ToTimedelta().total_seconds() == 0.5
        assert models["phi"].throughput_target == 7
        load = await admin.GetLoad(GetLoadRequest())
        assert [one.model for one in load.models] == ["extractive", "phi", "other"]
    told = await asyncio.to_thread(metrics_of, server)
    assert 'groundwire_model_latency_target_seconds{model="phi"} 0.5' in told
    assert 'groundwire_model_throughput_target{model="phi"} 7.0' in told
