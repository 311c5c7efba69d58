"""Where a backup is written to and read from: a folder here, an archive next door."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

from groundwire_index.backup.files import write
from groundwire_index.errors import NotFoundError
from groundwire_index.storage.folders import sync_folder

from groundwire_server.backup.manifest import MANIFEST, BackupManifest, decode, encode


class Readable(Protocol):
    """A file that is open to be read."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most ``size``; none at the end."""


class Target(Protocol):
    """A backup that is written: files, then the manifest, after which it is whole.

    Raises OSError, and leaves it to the caller to remove what was begun. `close` it in any case.
    """

    path: Path
    """What it is written as, in the staging folder."""

    def add(self, name: str, file: Path) -> None:
        """Take a file over, which is gone from where it was then."""

    def finish(self, manifest: BackupManifest) -> None:
        """Write the manifest; all of it is on stable storage then."""

    def close(self) -> None:
        """Let go of it, finished or not."""


class Source(Protocol):
    """A backup that is read. Raises DataLossError, naming the file, for what cannot be read."""

    def manifest(self) -> BackupManifest:
        """What it holds. Raises NotFoundError if it is no backup, and as `decode`."""

    def files(self, names: Collection[str]) -> Iterator[tuple[str, Readable]]:
        """Those of the files that are there, each to be read before the next is asked for."""

    def place(self, name: str) -> str:
        """What to call one of its files, to a person."""


class FolderTarget:
    """A folder of files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700)

    def add(self, name: str, file: Path) -> None:
        """Move it there; it is on stable storage already."""
        place = self.path / name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.rename(place)

    def finish(self, manifest: BackupManifest) -> None:
        """Write ``backup.json``."""
        write(self.path / MANIFEST, encode(manifest))
        sync_folders(self.path)

    def close(self) -> None:
        """Nothing is held."""


class FolderSource:
    """The same, to be read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def manifest(self) -> BackupManifest:
        """Read ``backup.json``."""
        path = self._path / MANIFEST
        if not path.is_file():
            raise no_backup(self._path)
        return decode(path.read_bytes(), path)

    def files(self, names: Collection[str]) -> Iterator[tuple[str, Readable]]:
        """In the order of the names."""
        for name in names:
            path = self._path / name
            if path.is_file():
                with path.open("rb") as file:
                    yield name, file

    def place(self, name: str) -> str:
        """Its path."""
        return str(self._path / name)


def no_backup(path: Path) -> NotFoundError:
    """There is something else, or nothing."""
    return NotFoundError(f"{path} is no backup: there is no {MANIFEST} in it")


def sync_folders(path: Path) -> None:
    """Put the entries of a folder, and of all folders in it, on stable storage."""
    for folder in (path, *(one for one in path.rglob("*") if one.is_dir())):
        sync_folder(folder)
