"""Making SQLite databases, and telling whether this release can read one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from groundwire_index.errors import DataLossError, FailedPreconditionError
from groundwire_index.storage.page_sums import PAGE


def create_database(path: Path, script: str, version: int) -> None:
    """Make a database by a script, all or nothing; the caller syncs its folder."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {version}; COMMIT")


def is_whole(connection: sqlite3.Connection) -> bool:
    """Whether SQLite finds every row, also by its indexes. Reads all of them."""
    return bool(connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))


def check_version(connection: sqlite3.Connection, path: Path, expected: int) -> None:
    """Raise FailedPreconditionError for a database that another release wrote."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        raise DataLossError(
            f"{path} is damaged (it is empty): restore it from a copy",
            reason="FILE_DAMAGED",
            metadata={"file": str(path)},
        )
    if version != expected:
        raise FailedPreconditionError(
            f"{path} has format {version}, this release reads format {expected}: open it with "
            "the release that wrote it",
            reason="FORMAT_UNKNOWN",
        )
