"""Servers of others that take any port of loopback, and do not say which they took."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from tests.patience import until_seen


@contextmanager
def listening(command: Sequence[str]) -> Iterator[int]:
    """Run a server that writes "server listening" once it does; its port."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            port = _port_of(process)
            # It may write of every request, and would wait for a reader.
            threading.Thread(target=process.communicate, daemon=True).start()
            yield port
        finally:
            process.kill()


def _port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if "server listening" in line:
            break
    its_own = psutil.Process(process.pid)

    def listens() -> bool:
        assert process.poll() is None
        return bool(its_own.net_connections("tcp"))

    until_seen(listens, "what was said to listen does")
    return int(its_own.net_connections("tcp")[0].laddr.port)
