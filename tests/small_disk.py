"""A real disk that is soon full: a small file system in memory."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import pytest

_PIECE = b"\0" * 2**20


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """Mount one on the folder; the test is skipped where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(
            f"A FULL DISK IS NOT TESTED: mounting one needs root ({mounted.stderr.strip()})"
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Every byte of the disk is taken, until the end of the block."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                _write_on(file, _PIECE[:size])
    try:
        yield
    finally:
        filler.unlink()


def _write_on(file: FileIO, piece: bytes) -> None:
    while True:
        file.write(piece)
