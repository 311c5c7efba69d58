"""Imports torch with threads that share the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# The OpenMP runtime of torch reads these once, while torch is imported. By default a thread
# that waits for another spins for milliseconds; when the other has lost its core to the rest of
# this server, a query of 8 ms takes 400 ms. A short spin is as fast on an idle machine.
_OPENMP = {"GOMP_SPINCOUNT": "2000"}
# Set by hand, these decide instead.
_OPENMP_CHOICES = frozenset({"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"})


def import_torch() -> Any:
    """The torch module, set up once for inference beside a server. Takes over a second."""
    spin = {} if _OPENMP_CHOICES & os.environ.keys() else _OPENMP
    with temporary_environment(spin):
        import torch
    quota = cpu_quota()
    if quota and quota < torch.get_num_threads():
        torch.set_num_threads(quota)
    return torch


def cpu_quota(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores that a container limit allows, rounded up; 0 if there is no limit.

    Torch counts the cores of the machine, and more threads than the limit stall each other.
    """
    try:
        quota, period = limit.read_text().split()
    except (OSError, ValueError):
        return 0
    return 0 if quota == "max" else -(-int(quota) // int(period))


@contextmanager
def temporary_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables, and put back what was there.

    For what a library takes from the environment alone. Processes that are started later are
    not to find it there.
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
