"""A whole server whose model runs elsewhere, while that comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from groundwire.v1.admin_service_pb2 import COMPONENT_STATE_READY, GetServerInfoRequest
from groundwire.v1.admin_service_pb2_grpc import AdminServiceStub
from groundwire.v1.generate_service_pb2 import CompleteRequest, GenerateRequest
from groundwire.v1.generate_service_pb2_grpc import GenerateServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.serving import ServerProcess
from tests.faults.engines.scripted_http import HELLO, MODEL, ScriptedHttp, answering
from tests.patience import PATIENCE_S

KEY = "sk-hunter2"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def flags(url: str) -> list[str]:
    return ["--openai-url", url, "--openai-model", MODEL, "--openai-name", "far"]


@asynccontextmanager
async def groundwire(data_dir: Path, url: str) -> AsyncIterator[ServerProcess]:
    process = ServerProcess(data_dir, *flags(url), env={"GROUNDWIRE_OPENAI_API_KEY": KEY})
    try:
        yield await asyncio.to_thread(process.start)
    finally:
        await asyncio.to_thread(process.stop)


async def watched(channel: grpc.aio.Channel, status: int) -> None:
    """Wait until Generate has this health."""
    service = "groundwire.v1.GenerateService"
    watch = health_pb2_grpc.HealthStub(channel).Watch(
        health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE_S
    )
    async for answer in watch:
        if answer.status == status:
            return


async def test_health_follows_the_remote_and_the_key_is_nowhere(tmp_path: Path) -> None:
    async with (
        ScriptedHttp(HELLO) as remote,
        groundwire(tmp_path / "data", remote.url) as process,
        grpc.aio.insecure_channel(process.address) as channel,
    ):
        await watched(channel, SERVING)
        info = await AdminServiceStub(channel).GetServerInfo(GetServerInfoRequest())
        assert info.default_model == "far"
        states = {component.name: component.state for component in info.components}
        assert states["engine/far"] == COMPONENT_STATE_READY
        asked = CompleteRequest(request=GenerateRequest(prompt="Who is there?"))
        answer = await GenerateServiceStub(channel).Complete(asked)
        assert (answer.text, answer.engine, answer.model) == ("Hello there", "openai", "far")

        works, remote.models = remote.models, answering(503, b"restarting")
        await watched(channel, NOT_SERVING)
        remote.models = works
        await watched(channel, SERVING)

    assert "restarting" in process.log
    kept = [path.read_bytes() for path in process.data_dir.rglob("*.json")]
    assert kept
    assert KEY not in process.log
    assert not any(KEY.encode() in content for content in kept)


async def test_a_model_that_is_not_there_ends_the_start_with_what_there_is(tmp_path: Path) -> None:
    async with ScriptedHttp(models=answering(200, {"data": [{"id": "other"}]})) as remote:
        process = ServerProcess(tmp_path / "data", *flags(remote.url)).spawn()
        assert await asyncio.to_thread(process.wait) != 0
    assert f'openai_model: {remote.url} has no model "{MODEL}"; it has' in process.log
    assert "Traceback" not in process.log
