from __future__ import annotations

import asyncio
import re
from pathlib import Path

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.method import Call, Context, Method
from groundwire_server.interceptors.telemetry import Telemetry
from groundwire_server.observability.metrics import Metrics
from prometheus_client import generate_latest

from tests.patience import PATIENCE_S, until
from tests.unit.observability.exported import registry
from tests.unit.server.calls import serving, unary

ROOT = Path(__file__).parents[3]


def test_the_documentation_lists_every_metric_of_ours() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(groundwire_\w+)`", text, re.MULTILINE))
    names = {
        line.split()[2].removesuffix("_created")
        for line in generate_latest(registry()).decode().splitlines()
        if line.startswith("# TYPE groundwire_")
    }
    # Where there is a counter, its time of creation is a gauge of the same name.
    assert documented == {name for name in names if f"{name}_total" not in names}


async def test_calls_that_do_not_end_by_themselves_are_counted_by_why() -> None:
    metrics = Metrics()
    began, came, ended = asyncio.Event(), 0, 0

    async def hang(request: StringValue, context: object) -> StringValue:
        began.set()
        return await asyncio.Future()

    def noting(method: Method, call: Call) -> Call:
        async def noted(request: StringValue, context: Context) -> None:
            nonlocal came, ended
            came += 1
            try:
                await call(request, context)
            finally:
                ended += 1

        return noted

    def count(code: str) -> float | None:
        labels = {"service": "test.Echo", "method": "Hang", "code": code}
        return metrics.registry.get_sample_value("groundwire_requests_total", labels)

    handlers = {"Hang": unary(hang)}
    async with (
        asyncio.timeout(PATIENCE_S),
        serving([noting, Telemetry(metrics), errors], handlers) as calls,
    ):
        while not came:  # A call may be over before it comes there.
            with pytest.raises(grpc.aio.AioRpcError):
                await calls.unary("Hang")(StringValue(), timeout=0.05)
        await until(lambda: ended == came, "all that came have ended")
        assert count("DEADLINE_EXCEEDED") == came

        began.clear()
        hanging = calls.unary("Hang")(StringValue())
        await began.wait()
        hanging.cancel()
        await until(lambda: ended == came, "all that came have ended")
        assert count("CANCELLED") == 1
