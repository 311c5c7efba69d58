"""Room on the disk for what a private redis-server writes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from groundwire_index.storage.failures import disk_full

from groundwire_server.blocking import run_blocking

# For what Redis writes by itself, such as keys that expire, and for other writers in between.
RESERVE_BYTES = 4 * 2**20
# More than others can write in the time for which a look counts.
PLENTY_BYTES = 2**30
_LOOK_S = 0.1


def free_bytes(folder: Path) -> int:
    """What this user may still write to the disk of a folder. Blocking."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class DiskRoom:
    """Looks at a disk before each write; where there is plenty, ten times a second."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        free_bytes: Callable[[Path], int] = free_bytes,
    ) -> None:
        """Nothing is looked at yet. ``clock`` gives seconds; ``free_bytes`` blocks."""
        self._folder = folder
        self._clock = clock
        self._free_bytes = free_bytes
        self._spare = 0
        self._until = 0.0

    async def require(self, size: int) -> None:
        """Raise ResourceExhaustedError if a write of so many bytes could fill the disk."""
        if size > self._spare or self._clock() >= self._until:
            free = await run_blocking(self._free_bytes, self._folder)
            if free < size + RESERVE_BYTES:
                raise disk_full("the sessions")
            self._spare = free - PLENTY_BYTES
            self._until = self._clock() + _LOOK_S
        self._spare -= size
