"""A snapshot on its way to another place, or from one: its manifest, then its files, in pieces."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from groundwire_index.backup.files import pieces, sync_file
from groundwire_index.backup.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    SnapshotInfo,
    StoredFile,
    decode,
    encode,
)
from groundwire_index.backup.store import SnapshotStore, Unfinished, id_taken
from groundwire_index.checks import require
from groundwire_index.errors import DataLossError, InvalidArgumentError, NotFoundError
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import make_folder, sync_folder
from groundwire_index.storage.schema import ANNS, SEGMENTS

PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of one file. The pieces of a file come in order, the files in the manifest's."""

    file: str
    offset: int
    data: bytes
    crc32: int


def outgoing(folder: Path, info: SnapshotInfo) -> Iterator[Piece]:
    """All of a snapshot, the manifest first. Raises DataLossError if a file is too short."""
    content = encode(info)
    for offset in range(0, len(content), PIECE_BYTES):
        yield _piece(MANIFEST, offset, content[offset : offset + PIECE_BYTES])
    for file in info.files:
        offset = 0
        with storage_errors(folder / file.name):
            for data in pieces(folder / file.name, file.bytes, PIECE_BYTES):
                yield _piece(file.name, offset, data)
                offset += len(data)


class Incoming:
    """Takes pieces in; the snapshot shows once all of them are there and sound.

    Used by one thread at a time. `discard` it in any case.
    """

    def __init__(self, store: SnapshotStore, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._manifest = bytearray()
        self._info: SnapshotInfo | None = None
        self._known = False
        self._unfinished: Unfinished | None = None
        self._left: deque[StoredFile] = deque()
        self._offset = 0

    def add(self, piece: Piece) -> None:
        """Take a piece.

        Raises DataLossError if its checksum is wrong, and InvalidArgumentError if it is not the
        one that comes next.
        """
        if zlib.crc32(piece.data) != piece.crc32:
            raise DataLossError(
                f"chunk of {piece.file} at byte {piece.offset:,} fails its checksum: it was "
                "damaged on the way. Nothing was kept: send the snapshot again",
                reason="CHUNK_DAMAGED",
                metadata={"file": piece.file, "offset": str(piece.offset)},
            )
        if self._info is None and piece.file == MANIFEST:
            self._add_to_manifest(piece)
        else:
            self._add_to_file(piece)

    def finish(self) -> SnapshotInfo:
        """Check all of it and keep it. One that is there already is not kept twice."""
        info = self._begun()
        if self._left:
            raise InvalidArgumentError(
                "chunk", f"{self._left[0].name} is not complete: send all files of the manifest"
            )
        if self._unfinished is not None:
            self._unfinished.publish(info)
        return info

    def discard(self) -> None:
        """Leave nothing of it, unless it was finished."""
        if self._unfinished is not None:
            self._unfinished.discard()

    def _add_to_manifest(self, piece: Piece) -> None:
        _require_next(piece, MANIFEST, len(self._manifest))
        require(
            len(self._manifest) + len(piece.data) <= MAX_MANIFEST_BYTES,
            "chunk.data",
            f"is too much: a manifest has at most {MAX_MANIFEST_BYTES:,} bytes",
        )
        self._manifest += piece.data

    def _add_to_file(self, piece: Piece) -> None:
        self._begun()
        require(bool(self._left), "chunk.file", f'"{piece.file}" comes after the last file')
        file = self._left[0]
        _require_next(piece, file.name, self._offset)
        require(
            self._offset + len(piece.data) <= file.bytes,
            "chunk.data",
            f"reaches beyond the {file.bytes:,} bytes of {file.name}",
        )
        self._write(file.name, piece.data)
        self._offset += len(piece.data)
        if self._offset == file.bytes:
            self._complete(file.name)

    def _begun(self) -> SnapshotInfo:
        if self._info is None:
            require(bool(self._manifest), "chunk.file", f"{MANIFEST} must come first")
            info = self._info = decode(bytes(self._manifest), MANIFEST)
            self._left = deque(info.files)
            self._known = self._is_known(info)
            if not self._known:
                unfinished = self._unfinished = self._store.begin(self._tenant, info.id)
                with storage_errors(unfinished.folder):
                    for name in (SEGMENTS, ANNS):
                        make_folder(unfinished.folder / name)
        return self._info

    def _is_known(self, info: SnapshotInfo) -> bool:
        try:
            stored = self._store.find(self._tenant, info.id)
        except NotFoundError:
            return False
        if stored.sha256 != info.sha256:
            raise id_taken(info.id)
        return True

    def _write(self, name: str, data: bytes) -> None:
        if self._unfinished is not None:
            path = self._unfinished.folder / name
            with storage_errors(path), path.open("ab") as file:
                file.write(data)

    def _complete(self, name: str) -> None:
        if self._unfinished is not None:
            path = self._unfinished.folder / name
            with storage_errors(path):
                sync_file(path)
                sync_folder(path.parent)
        self._left.popleft()
        self._offset = 0


def _piece(file: str, offset: int, data: bytes) -> Piece:
    return Piece(file, offset, data, zlib.crc32(data))


def _require_next(piece: Piece, file: str, offset: int) -> None:
    require(piece.file == file, "chunk.file", f'"{piece.file}" is not what comes next: {file}')
    require(
        piece.offset == offset,
        "chunk.offset",
        f"{piece.offset:,} is not where {file} goes on: at {offset:,}",
    )
