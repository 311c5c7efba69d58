"""The bytes of one file while they arrive: counted, hashed, and on disk once they are many."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.storage.failures import storage_errors

from groundwire_server.blocking import run_blocking

# What is held in memory before it goes to disk.
_SPILL_BYTES = 2**20


class Upload:
    """Takes a file piece by piece, and keeps at most 1 MiB and one piece of it in memory.

    A context manager: the file is gone at its end, and, having no name, after a crash too.
    Raises InvalidArgumentError past ``max_bytes``, ResourceExhaustedError on a full disk, and
    UnavailableError on one that fails.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._size = 0
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            # A full disk is told again here; nobody wants these bytes any more.
            with suppress(OSError):
                self._file.close()

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self._size

    async def add(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise InvalidArgumentError(
                "data",
                f"the file is longer than {self._max_bytes:,} bytes, the largest that this "
                "server ingests: split it",
            )
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting >= _SPILL_BYTES:
            await run_blocking(self._spill)

    async def sha256(self) -> str:
        """Digest of all bytes, in hexadecimal. Call when all are here."""
        return await run_blocking(self._hexdigest)

    def read(self) -> bytes:
        """All bytes. Blocking; any number of times."""
        if self._file is None:
            return b"".join(self._pieces)
        with storage_errors(self._folder):
            self._file.seek(0)
            return self._file.read() + b"".join(self._pieces)

    def _hexdigest(self) -> str:
        digest = self._digest.copy()
        for piece in self._pieces:
            digest.update(piece)
        return digest.hexdigest()

    def _spill(self) -> None:
        data = b"".join(self._pieces)
        self._digest.update(data)
        with storage_errors(self._folder):
            if self._file is None:
                # Not a with block: it lives as long as this object.
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            self._file.write(data)
            self._file.flush()
        self._pieces.clear()
        self._waiting = 0
