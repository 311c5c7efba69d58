"""What a failing disk or database means to the caller, and what to do about it."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundwire_index.errors import (
    DataLossError,
    GroundwireError,
    ResourceExhaustedError,
    UnavailableError,
)
from groundwire_index.storage.row_sums import RowDamagedError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_SQLITE_READ_ONLY = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_SQLITE_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# What Python says, without a code, of a text that is none, and SQLite of metadata.
_GARBLED = ("Could not decode to UTF-8", "malformed JSON")
# SQLite says "full" when it writes, but not when it makes its files or the memory they share.
_SQLITE_PERHAPS_FULL = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
# Bytes of the memory that the connections to a database share, which is a file beside it.
_SQLITE_SHARES = 32 * 2**10
_SQLITE_TROUBLE = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
    }
)
_RETRY_WHEN_FULL_S = 30.0
_RETRY_S = 5.0


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the system says about the files at ``path`` into a domain error."""
    try:
        yield
    except OSError as error:
        raise _of_system(error, path) from error
    except sqlite3.DatabaseError as error:
        translated = _of_sqlite(error, path)
        if translated is None:
            raise
        raise translated from error
    except json.JSONDecodeError as error:
        raise damaged_file(path, error) from error
    except RowDamagedError as error:
        raise damaged_file(path, f"{error} fails its checksum") from error


@contextmanager
def doubtful(path: Path) -> Iterator[None]:
    """The same for a database that may not be what it was: whatever SQLite says is damage."""
    try:
        with storage_errors(path):
            yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        # A table that is not there, for one, or a column whose name is no text.
        raise damaged_file(path, error) from error


def disk_full(held: Path | str) -> ResourceExhaustedError:
    """The error of a full disk, by what it holds."""
    return ResourceExhaustedError(
        f"the disk that holds {held} is full. Nothing was acknowledged: free some space, then "
        "retry",
        reason="DISK_FULL",
        retry_after_s=_RETRY_WHEN_FULL_S,
    )


def _of_system(error: OSError, path: Path) -> GroundwireError:
    where = error.filename or path
    if error.errno in _FULL:
        return disk_full(path)
    if error.errno in _READ_ONLY:
        return _read_only(path, error.strerror or str(error))
    return UnavailableError(
        f"{where} cannot be used: {error.strerror or error}. Nothing was acknowledged: look after "
        "the disk, then retry",
        reason="STORAGE_UNAVAILABLE",
        retry_after_s=_RETRY_S,
    )


def _of_sqlite(error: sqlite3.DatabaseError, path: Path) -> GroundwireError | None:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code in _SQLITE_PERHAPS_FULL and _has_no_room(path)):
        return disk_full(path)
    if code in _SQLITE_READ_ONLY:
        return _read_only(path, str(error))
    if code in _SQLITE_CORRUPT or str(error).startswith(_GARBLED):
        return damaged_file(path, error)
    if code in _SQLITE_TROUBLE:
        return UnavailableError(
            f"{path} cannot be used: {error}. Nothing was acknowledged: look after the disk, "
            "then retry",
            reason="STORAGE_UNAVAILABLE",
            retry_after_s=_RETRY_S,
        )
    return None


def damaged_file(path: Path, error: object) -> DataLossError:
    """The error of a file that is not as it was written."""
    return DataLossError(
        f"{path} is damaged ({error}): restore it from a copy",
        reason="FILE_DAMAGED",
        metadata={"file": str(path)},
    )


def _has_no_room(path: Path) -> bool:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _SQLITE_SHARES


def _read_only(path: Path, why: str) -> UnavailableError:
    return UnavailableError(
        f"{path} cannot be written to ({why}). Nothing was acknowledged: make it writable for "
        "this user, then retry",
        reason="STORAGE_READ_ONLY",
        retry_after_s=_RETRY_S,
    )
