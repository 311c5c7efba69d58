"""A server of one's own: a child process that ends with the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.05
LAST_LINES = 15


class CannotStartError(Exception):
    """The server did not come to serve; the message is what it last said."""


@contextmanager
def local_server(data_dir: Path | None = None) -> Iterator[str]:
    """Serve on a free port of this machine; the address.

    The data is in ``data_dir``, and stays there; without one, in a temporary folder, which is
    removed on the way out, after the server has ended. Raises CannotStartError if it does not
    come to serve.
    """
    with tempfile.TemporaryDirectory(prefix="groundwire-server-") as folder:
        log = Path(folder, "server.log")
        with log.open("wb") as output:
            process = _start(Path(folder), data_dir or Path(folder, "data"), output.fileno())
        try:
            yield _address(process, Path(folder, "ready.json"), log)
        finally:
            _stop(process)


def _start(folder: Path, data_dir: Path, output: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "groundwire_server", "serve"]
    flags = {
        "--listen": "127.0.0.1:0",
        "--metrics-listen": "off",
        "--data-dir": str(data_dir),
        "--log-format": "console",
        "--ready-file": str(folder / "ready.json"),
    }
    return subprocess.Popen(
        [*command, *(part for flag in flags.items() for part in flag)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        # Settings of another server are not for this one.
        env={key: value for key, value in os.environ.items() if not key.startswith("GROUNDWIRE_")},
        # Ctrl-C is for this process, which then stops the server in order.
        start_new_session=True,
    )


def _address(process: subprocess.Popen[bytes], ready: Path, log: Path) -> str:
    give_up = time.monotonic() + START_TIMEOUT_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            said = log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
            raise CannotStartError("\n".join(["the server did not start; it said:", *said]))
        time.sleep(POLL_S)
    return str(json.loads(ready.read_text())["grpc"])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
