"""Reading files that another process may be in charge of."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from groundwire_index.errors import FailedPreconditionError
from groundwire_index.storage.failures import storage_errors

_BUSY_TIMEOUT_S = 10.0
# What SQLite says of files that it may not open, or not make.
_REFUSED = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})


@contextmanager
def looking(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads what is committed, and changes nothing.

    Not even at its end, when another one would write the log to its place: whoever is in charge
    keeps the checksums of what is written there. What goes wrong comes out as a domain error.
    """
    uri = f"file:{quote(str(path))}?mode=ro"
    with (
        storage_errors(path),
        _allowed(path),
        closing(
            sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        ) as connection,
    ):
        # SQLite opens its files at the first read: what is wrong with them is said of this path.
        connection.execute("PRAGMA schema_version").fetchone()
        yield connection


def opened(path: Path) -> BinaryIO:
    """The file, to be read. Raises OSError, and FailedPreconditionError for one that may not be."""
    try:
        return path.open("rb")
    except PermissionError as error:
        raise _unreadable(path) from error


@contextmanager
def _allowed(path: Path) -> Iterator[None]:
    """Say so where SQLite fails because this user may not do what it does to read a database."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _REFUSED:
            opened(path).close()
            if not os.access(path.parent, os.W_OK):
                raise _no_room_beside(path) from error
        raise


def _unreadable(path: Path) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"{path} may not be read by this user. Nothing was changed: do this as the user that the "
        "server runs as",
        reason="STORAGE_UNREADABLE",
    )


def _no_room_beside(path: Path) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"{path} cannot be read because {path.parent} is read-only for this user: SQLite keeps "
        "what the readers of a database share in a file beside it. Nothing was changed: do this "
        "as the user that the server runs as, or copy the folder to where it can be written to, "
        "and use the copy",
        reason="STORAGE_READ_ONLY",
    )
