"""Making SQLite databases, and telling whether this release can read one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from groundwire_index.errors import DataLossError, FailedPreconditionError


def create_database(path: Path, script: str, version: int) -> None:
    """Make a database by a script, all or nothing; the caller syncs its folder."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {version}; COMMIT")


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
