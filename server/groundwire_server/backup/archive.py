"""A backup as one file: a tar archive, packed or not, whose last member is the manifest."""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from groundwire_server.backup.manifest import MANIFEST, BackupManifest, damaged, decode, encode
from groundwire_server.backup.medium import Readable, no_backup

SUFFIXES = (".tar", ".tar.gz", ".tgz")
# Vectors hardly get smaller, however long one tries.
_COMPRESSION = 1


def is_archive(path: Path) -> bool:
    """Whether a backup of this name is an archive."""
    return path.name.endswith(SUFFIXES)


class ArchiveTarget:
    """An archive that is written from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("xb")
        path.chmod(0o600)
        self._tar = _begun(self._file, packed=not path.name.endswith(".tar"))

    def add(self, name: str, file: Path) -> None:
        """Put it in, and remove it where it was: the room is wanted for the next."""
        with file.open("rb") as content:
            self._add(name, content, file.stat().st_size)
        file.unlink()

    def finish(self, manifest: BackupManifest) -> None:
        """Add ``backup.json`` and the end."""
        content = encode(manifest)
        self._add(MANIFEST, io.BytesIO(content), len(content))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _add(self, name: str, content: IO[bytes], size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size = size
        member.mode = 0o600
        self._tar.addfile(member, content)


def _begun(file: BinaryIO, *, packed: bool) -> tarfile.TarFile:
    if packed:
        return tarfile.open(fileobj=file, mode="w:gz", compresslevel=_COMPRESSION)
    return tarfile.open(fileobj=file, mode="w")


class ArchiveSource:
    """The same, to be read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def manifest(self) -> BackupManifest:
        """Look for ``backup.json``, which is at the end."""
        last = ""
        for name, file in self._members():
            if name == MANIFEST:
                return decode(file.read(-1), self.place(MANIFEST))
            last = name
        # The tar library takes a header that is damaged for the end.
        raise (
            damaged(self._path, f"nothing can be read after {last}")
            if last
            else no_backup(self._path)
        )

    def files(self, names: Collection[str]) -> Iterator[tuple[str, Readable]]:
        """In the order in which they were added."""
        wanted = frozenset(names)
        return ((name, file) for name, file in self._members() if name in wanted)

    def place(self, name: str) -> str:
        """The archive, and the member."""
        return f"{self._path}: {name}"

    def _members(self) -> Iterator[tuple[str, Readable]]:
        with _readable(str(self._path)):
            tar = tarfile.open(self._path)  # noqa: SIM115 - closed below, with what fails in it
        with tar:
            last = "its beginning"
            while True:
                with _readable(f"{self._path}, after {last},"):
                    member = tar.next()
                    content = tar.extractfile(member) if member and member.isfile() else None
                if member is None:
                    return
                if content is not None:
                    yield member.name, _Member(content, self.place(member.name))
                last = member.name


class _Member:
    """A file in an archive, whose damage is told by its name."""

    def __init__(self, content: IO[bytes], place: str) -> None:
        self._content = content
        self._place = place

    def read(self, size: int, /) -> bytes:
        with _readable(self._place):
            return self._content.read(size)


@contextmanager
def _readable(place: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise damaged(place, str(error) or "it ends too early") from error
    except OSError as error:
        # What the system says has a number; what gzip says has none.
        if error.errno is not None:
            raise
        raise damaged(place, str(error)) from error
