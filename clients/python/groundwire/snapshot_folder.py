"""A snapshot in a folder of the client's: ``manifest.json`` and the files that it names."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from groundwire.errors import DataLossError
from groundwire.v1.retrieve_service_pb2 import SnapshotChunk, UploadSnapshotRequest

MANIFEST = "manifest.json"
PIECE_BYTES = 2**20


class Arriving:
    """Takes a snapshot into a folder, which is there once all of it has arrived and is sound.

    Use it in a ``with`` block, which leaves nothing behind that was not finished.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arriving = folder.with_name(f"{folder.name}.part")

    def __enter__(self) -> Self:
        if self._folder.exists():
            raise FileExistsError(f"{self._folder} is there already: name a new folder")
        shutil.rmtree(self._arriving, ignore_errors=True)
        self._arriving.mkdir(mode=0o700, parents=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._arriving, ignore_errors=True)

    def add(self, chunk: SnapshotChunk) -> None:
        """Write a chunk. Raises DataLossError if it is not what was sent."""
        path = self._arriving / chunk.file
        size = path.stat().st_size if path.exists() else 0
        if zlib.crc32(chunk.data) != chunk.crc32 or size != chunk.offset:
            raise _damaged(chunk.file)
        if not path.resolve().is_relative_to(self._arriving.resolve()):
            raise _damaged(chunk.file)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("ab") as file:
            file.write(chunk.data)

    def finish(self) -> Path:
        """Check all files against the manifest, and let the folder be there."""
        for name, sha256 in _files_of(self._arriving):
            path = self._arriving / name
            if not path.exists() or _sha256(path) != sha256:
                raise _damaged(name)
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        self._arriving.rename(self._folder)
        return self._folder


def chunks_of(folder: Path) -> Iterator[UploadSnapshotRequest]:
    """The messages that carry a snapshot: its manifest, then its files in the manifest's order."""
    for name in (MANIFEST, *(name for name, _ in _files_of(folder))):
        offset = 0
        with (folder / name).open("rb") as file:
            while data := file.read(PIECE_BYTES):
                crc32 = zlib.crc32(data)
                chunk = SnapshotChunk(file=name, offset=offset, data=data, crc32=crc32)
                yield UploadSnapshotRequest(chunk=chunk)
                offset += len(data)


def _files_of(folder: Path) -> list[tuple[str, str]]:
    try:
        document = json.loads((folder / MANIFEST).read_bytes())
        return [(one["name"], one["sha256"]) for one in document["manifest"]["files"]]
    except (ValueError, KeyError, TypeError):
        raise _damaged(MANIFEST) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(name: str) -> DataLossError:
    return DataLossError(f"{name} is not what it was in the snapshot: fetch it again")
