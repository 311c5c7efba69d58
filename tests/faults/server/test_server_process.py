from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from groundwire.v1 import generate_service_pb2 as generate_pb
from groundwire.v1 import generate_service_pb2_grpc as generate_pb_grpc
from groundwire_server.data_dir import DataDir
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.serving import ServerProcess
from tests.faults.server.application import NOT_SERVING, SERVING
from tests.patience import until_seen

SMALL = (sys.executable, "-m", "tests.faults.server.process")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", command=SMALL) as server:
        yield server


@pytest.fixture
def channel(small: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(small.address) as channel:
        yield channel


def first_refusal(generate: generate_pb_grpc.GenerateServiceStub) -> grpc.RpcError:
    refusals: list[grpc.RpcError] = []

    def is_refused() -> bool:
        try:
            generate.CountTokens(generate_pb.CountTokensRequest(text="late"))
        except grpc.RpcError as error:
            refusals.append(error)
        return bool(refusals)

    until_seen(is_refused, "a call is refused")
    return refusals[0]


def test_it_tells_where_it_serves_and_stops_with_code_0(small: ServerProcess) -> None:
    told = json.loads(small.ready_file.read_text())
    assert told == {"grpc": small.address, "metrics": small.metrics_address}
    assert small.wait_for("serving")["seconds"] > 0
    assert small.stop() == 0
    assert not small.ready_file.exists()
    assert "Traceback" not in small.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_in_flight_finishes_when_the_server_is_told_to_stop(
    small: ServerProcess, channel: grpc.Channel, number: signal.Signals
) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    generate = generate_pb_grpc.GenerateServiceStub(channel)
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == SERVING
    stream = generate.Generate(generate_pb.GenerateRequest())
    assert next(stream).text_delta.text == "first"

    small.signal(number)
    assert next(watch).status == NOT_SERVING
    refused = first_refusal(generate)
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert "stopping" in refused.details()

    small.signal(signal.SIGUSR1)  # To this application it means: let the stream go on.
    assert next(stream).text_delta.text == "last"
    assert next(stream, None) is None
    assert small.wait() == 0


def test_a_second_signal_ends_it_at_once(small: ServerProcess, channel: grpc.Channel) -> None:
    generate = generate_pb_grpc.GenerateServiceStub(channel)
    next(generate.Generate(generate_pb.GenerateRequest()))
    small.signal()
    small.wait_for("stopping: SIGTERM")
    small.signal(signal.SIGINT)
    assert small.wait() == -signal.SIGINT


def test_told_to_stop_while_a_model_loads_it_does_not_wait_for_it(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", command=SMALL, env={"FOREVER": "loads"}).spawn()
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == NOT_SERVING
    assert server.stop() == 0
    assert "Traceback" not in server.log
    with DataDir(tmp_path / "data"):
        pass


def test_work_in_a_thread_that_nobody_waits_for_any_more_does_not_hold_it_up(
    tmp_path: Path,
) -> None:
    no_grace = ("--stop-grace-s", "0")
    server = ServerProcess(
        tmp_path / "data", *no_grace, command=SMALL, env={"FOREVER": "works"}
    ).start()
    with grpc.insecure_channel(server.address) as channel:
        generate = generate_pb_grpc.GenerateServiceStub(channel)
        stream = generate.Generate(generate_pb.GenerateRequest())
        assert next(stream).text_delta.text == "first"
        assert server.stop() == 0
    assert "Traceback" not in server.log
    with DataDir(tmp_path / "data"):
        pass


def test_a_second_server_on_the_data_folder_says_who_has_it(
    small: ServerProcess, tmp_path: Path
) -> None:
    second = ServerProcess(small.data_dir, command=SMALL).spawn()
    assert second.wait() == 1
    assert f"is in use by process {small.pid}" in second.log
    assert f"listens on {small.address}" in second.log
    assert small.process.poll() is None


def test_a_crash_lets_go_of_the_data_folder(small: ServerProcess) -> None:
    small.kill()
    with ServerProcess(small.data_dir, command=SMALL) as again:
        assert again.stop() == 0


def test_a_port_in_use_ends_it_with_a_sentence(small: ServerProcess, tmp_path: Path) -> None:
    second = ServerProcess(tmp_path / "b", "--listen", small.address, command=SMALL).spawn()
    assert second.wait() == 1
    assert second.log.splitlines()[-1] == (
        f"groundwire: cannot listen on --listen {small.address}: the port is in use; stop what "
        "uses it, or choose another (0: any free one)"
    )
