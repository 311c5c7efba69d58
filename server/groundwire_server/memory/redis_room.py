"""Room on the disk for what a private redis-server writes."""

from __future__ import annotations

import os
from pathlib import Path

from groundwire_index.storage.failures import disk_full

# For what Redis writes by itself, such as keys that expire, and for other writers in between.
RESERVE_BYTES = 4 * 2**20


def require_room(folder: Path, size: int) -> None:
    """Raise ResourceExhaustedError if a write of so many bytes could fill the disk. Blocking."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < size + RESERVE_BYTES:
        raise disk_full("the sessions")
