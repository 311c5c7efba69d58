"""A server in a process of its own, as its users run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.patience import PATIENCE_S

SERVE = (sys.executable, "-m", "groundwire_server", "serve")
# Of a start too: several servers may be starting on a machine with two cores.
TIMEOUT_S = 2 * PATIENCE_S


class ServerProcess:
    """Runs `groundwire serve` on free ports of loopback.

    A context manager that waits until the server serves, and stops it at the end. Use `spawn`
    instead to see how it starts.
    """

    def __init__(
        self,
        data_dir: Path,
        *flags: str,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = SERVE,
        start_s: float = TIMEOUT_S,
    ) -> None:
        self.data_dir = data_dir
        self.ready_file = data_dir.with_name(f"{data_dir.name}.ready.json")
        self.lines: list[str] = []
        """What it has written to standard error, its log, until now."""
        self._arguments = [
            *command,
            *("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"),
            *("--data-dir", str(data_dir), "--ready-file", str(self.ready_file)),
            *("--log-format", "json", "--stop-delay-s", "0"),
            # However busy the machine is, its Redis is there.
            *("--redis-timeout-s", str(PATIENCE_S)),
            *flags,
        ]
        self._env = {**os.environ, **(env or {})}
        self._start_s = start_s
        self._written = threading.Condition()
        self._ended = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.stop()

    @property
    def address(self) -> str:
        """HOST:PORT of gRPC, as soon as the server listens."""
        return str(self.wait_for("starting")["grpc"])

    @property
    def metrics_address(self) -> str:
        """HOST:PORT of the metrics, as soon as the server listens."""
        return str(self.wait_for("starting")["metrics"])

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> Self:
        """Start the server and wait until it serves."""
        self.spawn()
        self.wait_for("serving")
        with grpc.insecure_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            status = health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S).status
        assert status == health_pb2.HealthCheckResponse.SERVING
        return self

    def spawn(self) -> Self:
        """Start the server, and wait for nothing."""
        self.lines.clear()
        self._ended = False
        self.process = subprocess.Popen(
            self._arguments, env=self._env, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def wait_for(self, event: str) -> dict[str, Any]:
        """Wait for a line of the log, by its event; the line. Fails if the server ends first."""
        with self._written:
            self._written.wait_for(lambda: self._logged(event) or self._ended, self._start_s)
            line = self._logged(event)
        if line is None:
            self.kill()
            raise AssertionError(f"the server did not come to {event!r}:\n{self.log}")
        return line

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait until the server has ended; its exit code. It is killed if that takes too long."""
        try:
            return self.process.wait(TIMEOUT_S)
        finally:
            self.kill()

    def stop(self) -> int:
        """Stop the server as an operator would; its exit code."""
        self.signal()
        return self.wait()

    def kill(self) -> None:
        """End the server as a crash would. Idempotent."""
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE_S)
        assert not self._reader.is_alive(), "what the server started still writes to its log"

    @property
    def log(self) -> str:
        """What it has written to standard error until now."""
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self._note(lambda line=line: self.lines.append(line))
        self._note(lambda: setattr(self, "_ended", True))

    def _note(self, change: Callable[[], None]) -> None:
        with self._written:
            change()
            self._written.notify_all()

    def _logged(self, event: str) -> dict[str, Any] | None:
        for line in self.lines:
            if line.startswith("{") and (found := json.loads(line)).get("event") == event:
                return found
        return None
