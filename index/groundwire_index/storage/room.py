"""When it is worth trying again what found the disk full."""

from __future__ import annotations

import os
from pathlib import Path


class Room:
    """Remembers that the disk of a folder was full, until there is more room on it. Thread-safe."""

    def __init__(self, folder: Path, step: int) -> None:
        """Less than ``step`` bytes more is not worth trying."""
        self._folder = folder
        self._step = step
        self._left: int | None = None

    def ran_out(self) -> None:
        """The disk was full: what is free now was not enough."""
        self._left = self._free()

    def is_there(self, enough: int) -> bool:
        """Whether the disk was not full, or may not be by now; ``enough`` bytes always are."""
        if self._left is None:
            return True
        there = self._free() >= min(enough, self._left + self._step)
        if there:
            self._left = None
        return there

    def _free(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize
