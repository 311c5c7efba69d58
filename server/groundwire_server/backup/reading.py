"""Reading all of a backup, and comparing every file with its checksum."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from groundwire_index.errors import NotFoundError
from groundwire_index.storage.failures import storage_errors

from groundwire_server.backup.archive import ArchiveSource
from groundwire_server.backup.manifest import BackupManifest, damaged
from groundwire_server.backup.medium import FolderSource, Readable, Source

_PIECE = 2**22

Write = Callable[[bytes], object]
Places = Callable[[str], AbstractContextManager[Write]]
"""Gives, for a file's name, where its bytes go."""


def source_at(path: Path) -> Source:
    """The backup at a path, folder or archive. Raises NotFoundError if nothing is there."""
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return ArchiveSource(path)
    raise NotFoundError(f"there is no backup at {path}: check the path")


def check(source: Source) -> BackupManifest:
    """Read all of it; what it holds. Raises DataLossError, naming the file that is damaged."""
    manifest = source.manifest()
    _read(source, manifest, lambda _: nullcontext(_forget))
    return manifest


def extract(source: Source, manifest: BackupManifest, place: Callable[[str], Path]) -> None:
    """Write every file to its place, on stable storage; DataLossError as `check`."""
    _read(source, manifest, lambda name: _written(place(name)))


def _read(source: Source, manifest: BackupManifest, places: Places) -> None:
    left = {file.name: file for file in manifest.files}
    for name, content in source.files(tuple(left)):
        file = left.pop(name, None)
        if file is None:
            raise damaged(source.place(name), "it is there twice")
        with places(name) as write:
            if _passed_on(content, write) != (file.bytes, file.sha256):
                raise damaged(source.place(name), "it fails its checksum")
    for name in left:
        raise damaged(source.place(name), "it is missing")


def _passed_on(content: Readable, write: Write) -> tuple[int, str]:
    """Size and SHA-256 of what is read and written on."""
    size, digest = 0, hashlib.sha256()
    while piece := content.read(_PIECE):
        write(piece)
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


@contextmanager
def _written(path: Path) -> Iterator[Write]:
    with storage_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("xb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())


def _forget(piece: bytes) -> None:
    """What is only checked goes nowhere."""
