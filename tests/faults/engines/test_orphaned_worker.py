"""What is left of vLLM when one of its processes is killed: nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.patience import PATIENCE_S


class Chain:
    """A server, its engine core, and a worker of that, which hears no SIGTERM."""

    def __init__(self, *, starting: bool = False) -> None:
        """While it is ``starting``, the core has no worker yet."""
        self.server = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.engines.orphaned_worker"),
                *(["starting"] if starting else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.server.stdout is not None
        self.core = psutil.Process(int(self.server.stdout.readline()))
        self.processes = [self.core]
        if not starting:
            self.worker = psutil.Process(int(self.server.stdout.readline()))
            self.processes.append(self.worker)

    def end(self) -> None:
        with self.server:
            self.server.kill()
        for process in self.processes:
            if process.is_running():
                process.kill()


@pytest.fixture
def chain() -> Iterator[Chain]:
    chain = Chain()
    yield chain
    chain.end()


@pytest.fixture
def starting() -> Iterator[Chain]:
    chain = Chain(starting=True)
    yield chain
    chain.end()


def test_a_worker_that_hears_nothing_ends_with_its_engine_core(chain: Chain) -> None:
    chain.core.kill()

    chain.worker.wait(PATIENCE_S)
    assert chain.server.poll() is None


def test_the_engine_core_and_a_worker_that_hears_nothing_end_with_the_server(
    chain: Chain,
) -> None:
    chain.server.kill()

    chain.worker.wait(PATIENCE_S)
    chain.core.wait(PATIENCE_S)


def test_an_engine_core_that_is_still_starting_ends_with_the_server(starting: Chain) -> None:
    starting.server.kill()

    starting.core.wait(PATIENCE_S)
