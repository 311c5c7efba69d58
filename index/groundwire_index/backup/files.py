"""Putting files into place: shared where they cannot change any more, copied where they can."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from groundwire_index.backup.manifest import StoredFile
from groundwire_index.errors import DataLossError
from groundwire_index.storage.failures import storage_errors

_PIECE = 2**22
# What file systems say that have no hard links, or no more of them for this file.
_NO_LINK = frozenset(
    {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)


def place(source: Path, target: Path, size: int, *, final: bool) -> None:
    """Have the first ``size`` bytes of a file also under another path, on stable storage.

    One that is ``final`` (no byte of it is ever written again) and has just this size is hard
    linked, and takes no room. A link shares later changes: what may still grow is copied. The
    caller syncs the folder. Raises OSError, and DataLossError if the file is too short.
    """
    if not (final and source.stat().st_size == size and _linked(source, target)):
        copy(source, target, size)


def copy(source: Path, target: Path, size: int) -> None:
    """Copy the first ``size`` bytes to a new file, on stable storage."""
    with source.open("rb") as file:
        copy_open(file, source, target, size)


def copy_open(file: BinaryIO, source: Path, target: Path, size: int) -> None:
    """The same from a file that is open, whose name may be gone by now."""
    with target.open("xb") as copied:
        for piece in read_pieces(file, source, size):
            copied.write(piece)
        copied.flush()
        os.fsync(copied.fileno())


def write(path: Path, content: bytes) -> None:
    """Make a new file, on stable storage."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Put what was written to a file on stable storage."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def pieces(path: Path, size: int, piece_bytes: int = _PIECE) -> Iterator[bytes]:
    """The first ``size`` bytes, piece by piece."""
    with path.open("rb") as file:
        yield from read_pieces(file, path, size, piece_bytes)


def read_pieces(
    file: BinaryIO, path: Path, size: int, piece_bytes: int = _PIECE
) -> Iterator[bytes]:
    """The next ``size`` bytes of an open file.

    Raises DataLossError, naming it, if it is short, and UnavailableError if it cannot be read.
    """
    left = size
    while left:
        with storage_errors(path):
            piece = file.read(min(piece_bytes, left))
        if not piece:
            raise damaged(path, f"it ends {left:,} bytes too early")
        left -= len(piece)
        yield piece


def describe(folder: Path, name: str, size: int) -> StoredFile:
    """One file of a snapshot, with its checksum."""
    return StoredFile(name, size, _sha256(folder / name, size))


def check(folder: Path, file: StoredFile) -> None:
    """Raise DataLossError, naming the file, unless it is as it was when it was written."""
    path = folder / file.name
    try:
        found = _sha256(path, file.bytes)
    except FileNotFoundError:
        raise damaged(path, "it is missing") from None
    if found != file.sha256:
        raise damaged(path, "it fails its checksum")


def damaged(path: Path | str, why: str) -> DataLossError:
    """The error of a file that a snapshot cannot be made of, or restored from."""
    return DataLossError(
        f"{path} is damaged: {why}. Nothing was changed: use another snapshot, or another copy "
        "of this one",
        reason="SNAPSHOT_DAMAGED",
        metadata={"file": str(path)},
    )


def _sha256(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    for piece in pieces(path, size):
        digest.update(piece)
    return digest.hexdigest()


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True
