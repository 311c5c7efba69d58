"""The whole server, as a process."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.request import urlopen

import grpc
import psutil
import pytest
from groundwire.v1 import admin_service_pb2 as admin_pb
from groundwire.v1 import admin_service_pb2_grpc as admin_grpc
from groundwire.v1 import memory_service_pb2 as memory_pb
from groundwire.v1 import memory_service_pb2_grpc as memory_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.serving import ServerProcess
from tests.patience import PATIENCE_S, until_seen

T = TypeVar("T")

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = [
    "",
    *(
        f"groundwire.v1.{name}Service"
        for name in ("Admin", "Embed", "Generate", "Memory", "Retrieve")
    ),
]


@pytest.fixture
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


def until(channel: grpc.Channel, service: str, status: int) -> None:
    """Watch a service until it has the status."""
    health = health_pb2_grpc.HealthStub(channel)
    watch = health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE_S)
    next(answer for answer in watch if answer.status == status)
    watch.cancel()


def answered(call: Callable[[], T]) -> T:
    """What a call gives as soon as the store has answered it in time."""
    answers: list[T] = []

    def is_answered() -> bool:
        try:
            answers.append(call())
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        return bool(answers)

    until_seen(is_answered)
    return answers[0]


def test_every_service_serves(server: ServerProcess, channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)

    def all_serve() -> bool:
        statuses = health.List(health_pb2.HealthListRequest()).statuses
        assert set(statuses) == set(SERVICES)
        return all(answer.status == SERVING for answer in statuses.values())

    until_seen(all_serve)
    assert json.loads(server.ready_file.read_text())["grpc"] == server.address


def test_it_says_what_it_is(channel: grpc.Channel) -> None:
    admin = admin_grpc.AdminServiceStub(channel)

    def all_are_ready() -> bool:
        info = admin.GetServerInfo(admin_pb.GetServerInfoRequest())
        assert info.default_model == "extractive"
        assert info.default_embedder == "all-MiniLM-L6-v2"
        states = {each.name: each.state for each in info.components}
        assert set(states) == {"sessions", "index", "embedder", "engine/extractive", "cache"}
        return set(states.values()) == {admin_pb.COMPONENT_STATE_READY}

    until_seen(all_are_ready)
    assert admin.GetLoad(admin_pb.GetLoadRequest()).resident_bytes < 900 * 2**20


def test_metrics_are_scraped(server: ServerProcess, channel: grpc.Channel) -> None:
    admin_grpc.AdminServiceStub(channel).ListModels(admin_pb.ListModelsRequest())
    with urlopen(f"http://{server.metrics_address}/metrics") as answer:
        page = answer.read().decode()
    assert 'method="ListModels",service="groundwire.v1.AdminService"' in page
    assert 'groundwire_component_ready{component="embedder"} 1.0' in page


def test_a_second_server_on_the_data_folder_refuses_to_start(server: ServerProcess) -> None:
    second = ServerProcess(server.data_dir).spawn()
    assert second.wait() == 1
    assert f"is in use by process {server.pid}" in second.log
    assert f"listens on {server.address}" in second.log
    assert "Traceback" not in second.log


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (["--listen", "0.0.0.0:0"], 1, "groundwire: --listen 0.0.0.0:0 can be reached from other"),
        (["--chunk-tokens", "1"], 2, "groundwire: --chunk-tokens: 1 is not allowed"),
        (["--default-model", "gpt"], 1, 'groundwire: no model "gpt" is served here; there are'),
        (["--data-dir", "/proc/groundwire"], 1, "data folder /proc/groundwire cannot be used"),
    ],
)
def test_it_says_why_it_cannot_start(
    tmp_path: Path, flags: list[str], code: int, sentence: str
) -> None:
    server = ServerProcess(tmp_path / "data", *flags).spawn()
    assert server.wait() == code
    assert sentence in server.log.splitlines()[-1]
    assert "Traceback" not in server.log


def refusal(server: ServerProcess) -> tuple[int, grpc.StatusCode]:
    """The health of a server that has just been started, and the status of a call of it."""
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        asked = admin_grpc.AdminServiceStub(channel).GetServerInfo.with_call
        try:
            _, call = asked(admin_pb.GetServerInfoRequest())
        except grpc.RpcError as refused:
            return health.status, refused.code()
        return health.status, call.code()


def test_told_to_stop_while_it_loads_it_stops_at_once_and_loses_nothing(tmp_path: Path) -> None:
    for _ in range(10):
        server = ServerProcess(tmp_path / "data").spawn()
        found = refusal(server)
        children = psutil.Process(server.pid).children(recursive=True)
        assert server.stop() == 0
        assert "Traceback" not in server.log
        assert not any(child.is_running() for child in children)
        # Where the test is slow, the server may have loaded everything before it is asked.
        if found == (NOT_SERVING, grpc.StatusCode.UNAVAILABLE):
            return
    raise AssertionError(f"it takes calls while it loads: {found}")


def test_it_survives_its_redis_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--redis-timeout-s", "0.5") as server:
        with grpc.insecure_channel(server.address) as channel:
            memory = memory_grpc.MemoryServiceStub(channel)
            asked = memory_pb.CreateSessionRequest(title="kept")
            created = answered(lambda: memory.CreateSession(asked))
            request = memory_pb.GetSessionRequest(session_id=created.session.id)

            (redis,) = (
                child
                for child in psutil.Process(server.pid).children(recursive=True)
                if "redis/redis.conf" in " ".join(child.cmdline())
            )
            redis.send_signal(signal.SIGSTOP)
            until(channel, "groundwire.v1.MemoryService", NOT_SERVING)
            with pytest.raises(grpc.RpcError) as refused:
                memory.GetSession(request)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            failed = [line for line in server.lines if '"the session store fails"' in line]
            assert failed
            assert all("within 0.5 s" in json.loads(line)["cause"] for line in failed)
            until(channel, "", SERVING)

            redis.kill()
            until(channel, "groundwire.v1.MemoryService", SERVING)
            assert answered(lambda: memory.GetSession(request)).session.title == "kept"
        assert server.stop() == 0
        assert not psutil.pid_exists(redis.pid)


def test_a_variable_that_is_no_setting_is_said_in_the_log(tmp_path: Path) -> None:
    env = {"GROUNDWIRE_SERVICE_HOST": "10.0.0.7"}
    with ServerProcess(tmp_path / "data", env=env) as server:
        (said,) = (line for line in server.lines if "GROUNDWIRE_SERVICE_HOST" in line)
    assert json.loads(said)["level"] == "warning"


def test_a_misspelt_variable_starts_no_server(tmp_path: Path) -> None:
    env = {"GROUNDWIRE_MAX_TOKNES": "5"}
    server = ServerProcess(tmp_path / "data", env=env).spawn()
    assert server.wait() == 2
    assert "did you mean GROUNDWIRE_MAX_TOKENS?" in server.log
    assert not (tmp_path / "data").exists()
