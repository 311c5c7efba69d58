"""A unary call through all interceptors, against a bare grpc.aio server that echoes.

The two take turns, so that what else the machine does falls on both.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import uvloop
from groundwire.v1 import admin_service_pb2 as pb
from groundwire.v1 import admin_service_pb2_grpc as pb_grpc

from tests.e2e.serving import ServerProcess

BAR = 0.6
ROUNDS = 7
ROUND_S = 1.5
CALLERS = 16


@contextmanager
def echo_server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.echo_server"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


async def calls_per_second(address: str) -> float:
    """Calls that so many callers make, each one after the other."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = pb_grpc.AdminServiceStub(channel).GetServerInfo
        request = pb.GetServerInfoRequest()
        await call(request)
        began = time.perf_counter()
        end = began + ROUND_S

        async def caller() -> int:
            count = 0
            while time.perf_counter() < end:
                await call(request)
                count += 1
            return count

        counts = await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return sum(counts) / (time.perf_counter() - began)


async def measure(ours: str, echo: str) -> tuple[list[float], list[float]]:
    pairs = [(await calls_per_second(ours), await calls_per_second(echo)) for _ in range(ROUNDS)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(Path(folder) / "data") as server,
        echo_server() as echo,
    ):
        ours, peer = uvloop.run(measure(server.address, echo))
    ratio = statistics.median(one / other for one, other in zip(ours, peer, strict=True))
    print(
        f"GetServerInfo: {statistics.median(ours):,.0f} calls/s; bare grpc.aio echo: "
        f"{statistics.median(peer):,.0f} calls/s; ratio {ratio:.2f} (bar: at least {BAR})"
    )
    return 0 if ratio >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
