"""Folders whose entries survive a crash."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(path: Path) -> None:
    """Put the folder's entries on stable storage: a new file is only safe after this."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_folder(path: Path) -> None:
    """Make a folder, for this user alone, whose own entry is on stable storage."""
    path.mkdir(mode=0o700)
    sync_folder(path.parent)


def bytes_on_disk(path: Path) -> int:
    """Bytes that the files below a folder occupy; a file's holes occupy none."""
    total = 0
    with os.scandir(path) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    total += bytes_on_disk(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
            except FileNotFoundError:
                # SQLite removes its log when the last connection closes.
                continue
    return total
