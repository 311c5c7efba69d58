"""Opening a Chroma database, by its folder or by its server's address, without changing it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from groundwire_server.cli.transfer.source import TransferError

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.config import Settings

INSTALL = 'Chroma databases are read with its own package: pip install "groundwire[chroma]"'
FILE = "chroma.sqlite3"
API_KEY = "CHROMA_API_KEY"


@contextmanager
def chroma_database(where: str, *, tenant: str, database: str) -> Iterator[ClientAPI]:
    """A client of the database at a folder or URL.

    Opening a folder with Chroma's package migrates and writes to it, even to read: what is
    opened is a copy, which is removed afterwards. Raises TransferError.
    """
    if find_spec("chromadb") is None:
        raise TransferError(INSTALL)
    if urlsplit(where).scheme in ("http", "https"):
        with _open(where, lambda: _by_url(where, tenant, database)) as client:
            yield client
        return
    with (
        _copied(_folder(Path(where))) as copy,
        _open(where, lambda: _by_folder(copy, tenant, database)) as client,
    ):
        yield client


@contextmanager
def chroma_errors(where: str) -> Iterator[None]:
    """Raise what Chroma's package raises as TransferError."""
    import httpx
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, ValueError, httpx.HTTPError) as error:
        raise TransferError(f"{where} cannot be read as a Chroma database: {error}") from error


@contextmanager
def _open(where: str, connect: Callable[[], ClientAPI]) -> Iterator[ClientAPI]:
    with chroma_errors(where):
        opened = connect()
    try:
        yield opened
    finally:
        opened.close()


def _by_url(url: str, tenant: str, database: str) -> ClientAPI:
    import chromadb

    parts = urlsplit(url)
    secure = parts.scheme == "https"
    key = os.environ.get(API_KEY)
    return chromadb.HttpClient(
        host=parts.hostname or "",
        port=parts.port or (443 if secure else 80),
        ssl=secure,
        headers={"x-chroma-token": key} if key else None,
        settings=_settings(),
        tenant=tenant,
        database=database,
    )


def _by_folder(folder: Path, tenant: str, database: str) -> ClientAPI:
    import chromadb

    return chromadb.PersistentClient(folder, settings=_settings(), tenant=tenant, database=database)


def _settings() -> Settings:
    from chromadb.config import Settings as Chroma

    return Chroma(anonymized_telemetry=False)


def _folder(path: Path) -> Path:
    folder = path.parent if path.name == FILE else path
    if not folder.is_dir():
        raise TransferError(f"{path} is no folder, and no URL that begins with http:// or https://")
    if not (folder / FILE).is_file():
        raise TransferError(f"{path} is no Chroma database: there is no {FILE} in it")
    return folder


@contextmanager
def _copied(folder: Path) -> Iterator[Path]:
    before = _state(folder)
    size = sum(size for _, size, _ in before)
    with tempfile.TemporaryDirectory(prefix="groundwire-chroma-") as made:
        free = shutil.disk_usage(made).free
        if size > free:
            raise TransferError(
                f"{folder} is copied before it is opened, which would change it, and its "
                f"{size:,} bytes do not fit in the {free:,} free ones of {Path(made).parent}: "
                "name another folder in TMPDIR"
            )
        copy = Path(made, "database")
        shutil.copytree(folder, copy)
        if _state(folder) != before:
            raise TransferError(
                f"{folder} is being written to: stop the program that does, or give the URL of "
                "its Chroma server instead"
            )
        yield copy


def _state(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of each file."""
    files = ((path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file())
    return [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in files]
