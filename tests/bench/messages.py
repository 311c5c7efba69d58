"""Messages per second that one process streams, against a bare grpc.aio server.

The client is h2load (Debian's nghttp2-client), which costs far less than a client in Python. The
two take turns, so that what else the machine does falls on both. The processor time of a message
depends less on what else runs.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from groundwire.v1.generate_service_pb2 import GenerateRequest

from tests.bench.stream_server import TOKENS
from tests.e2e.serving import ServerProcess

BAR = 30_000
ROUNDS = 5
STREAMS_A_ROUND = 1000
CONNECTIONS, STREAMS_EACH = 2, 16
# With `started` and `finished`.
MESSAGES_OF_A_STREAM = TOKENS + 2
PATH = "/groundwire.v1.GenerateService/Generate"
SERVER = (sys.executable, "-m", "tests.bench.message_server")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to."""

    per_second: float
    cpu_us: float
    """Microseconds of the server's processor time for a message."""


@contextmanager
def bare_server() -> Iterator[tuple[str, int]]:
    """Its address and process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.stream_server"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        yield f"127.0.0.1:{process.stdout.readline().strip()}", process.pid
        process.terminate()


def framed() -> bytes:
    """The request as gRPC sends it: not compressed, and its length."""
    message = GenerateRequest(prompt="Why?").SerializeToString()
    return b"\0" + len(message).to_bytes(4, "big") + message


def streamed(address: str, pid: int, body: Path, streams: int) -> Round:
    before = sum(psutil.Process(pid).cpu_times()[:2])
    flags = ["-n", str(streams), "-c", str(CONNECTIONS), "-m", str(STREAMS_EACH), "-d", str(body)]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    said = subprocess.run(
        ["h2load", *flags, *headers, f"http://{address}{PATH}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    seconds = re.search(r"finished in ([\d.]+)(ms|s),", said)
    succeeded = re.search(r"(\d+) succeeded", said)
    assert seconds, said
    assert succeeded, said
    assert int(succeeded[1]) == streams, said
    messages = streams * MESSAGES_OF_A_STREAM
    cpu = sum(psutil.Process(pid).cpu_times()[:2]) - before
    wall = float(seconds[1]) / (1000 if seconds[2] == "ms" else 1)
    return Round(messages / wall, cpu / messages * 1e6)


def median(rounds: list[Round], of: str) -> float:
    return statistics.median(getattr(one, of) for one in rounds)


def main() -> int:
    if shutil.which("h2load") is None:
        print("h2load is not installed; in Debian it is in nghttp2-client")
        return 2
    ours, peer = [], []
    with tempfile.TemporaryDirectory() as name:
        body = Path(name) / "request"
        body.write_bytes(framed())
        with (
            ServerProcess(Path(name) / "data", command=SERVER) as server,
            bare_server() as (bare, bare_pid),
        ):
            for number in range(ROUNDS + 1):
                # The first round is for warming up.
                streams = STREAMS_A_ROUND if number else STREAMS_A_ROUND // 10
                ours.append(streamed(server.address, server.pid, body, streams))
                peer.append(streamed(bare, bare_pid, body, streams))
    ours, peer = ours[1:], peer[1:]
    ratio = statistics.median(
        one.per_second / other.per_second for one, other in zip(ours, peer, strict=True)
    )
    print(
        f"{median(ours, 'per_second'):,.0f} messages/s, {median(ours, 'cpu_us'):.1f} µs of "
        f"processor time each (bar: at least {BAR:,}); bare grpc.aio: "
        f"{median(peer, 'per_second'):,.0f}, {median(peer, 'cpu_us'):.1f} µs; ratio {ratio:.2f}; "
        f"load {psutil.getloadavg()[0]:.1f}"
    )
    return 0 if median(ours, "per_second") >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
