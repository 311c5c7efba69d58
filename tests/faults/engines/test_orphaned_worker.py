"""What is left of vLLM when one of its processes is killed: nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from groundwire_server.engines.vllm_worker import SERVER_PID

# Far more than it takes.
WAIT_S = 60


class Chain:
    """A server, its engine core, and a worker of that, which hears no SIGTERM."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.engines.orphaned_worker"]
        # The shell's pid is that of the server from then on.
        self.server = subprocess.Popen(
            ["/bin/sh", "-c", f'{SERVER_PID}=$$ exec "$@"', "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout is not None
        core, worker = (int(self.server.stdout.readline()) for _ in "12")
        self.core, self.worker = psutil.Process(core), psutil.Process(worker)


@pytest.fixture
def chain() -> Iterator[Chain]:
    chain = Chain()
    yield chain
    for process in (chain.server, chain.core, chain.worker):
        if isinstance(process, subprocess.Popen) or process.is_running():
            process.kill()
    with chain.server:
        pass


def test_a_worker_that_hears_nothing_ends_with_its_engine_core(chain: Chain) -> None:
    chain.core.kill()

    chain.worker.wait(WAIT_S)
    assert chain.server.poll() is None


def test_the_engine_core_and_a_worker_that_hears_nothing_end_with_the_server(
    chain: Chain,
) -> None:
    chain.server.kill()

    chain.worker.wait(WAIT_S)
    chain.core.wait(WAIT_S)
