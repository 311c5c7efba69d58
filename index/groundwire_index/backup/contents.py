"""Whether a copy of a collection is one: its tables, its counts, and each of its vectors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from groundwire_index.anns import AnnFiles, measure, read_entries
from groundwire_index.backup.files import damaged
from groundwire_index.backup.manifest import SnapshotInfo
from groundwire_index.damage import damaged_rows
from groundwire_index.files import Files
from groundwire_index.segments import checksum
from groundwire_index.state import State, read_state
from groundwire_index.storage.databases import check_version
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.schema import DATABASE, VERSION, create_collection_database


@contextmanager
def at_rest(folder: Path) -> Iterator[sqlite3.Connection]:
    """A copy's database, read-only, without any file beside it."""
    path = folder / DATABASE
    uri = f"file:{quote(str(path))}?immutable=1"
    with storage_errors(path), closing(sqlite3.connect(uri, uri=True)) as connection:
        yield connection


def state_of(folder: Path) -> State:
    """The counters of a copy."""
    with at_rest(folder) as connection:
        return read_state(connection)


def check_contents(folder: Path, info: SnapshotInfo) -> None:
    """Raise DataLossError, naming the file, unless the copy is what its manifest says."""
    with at_rest(folder) as connection, storage_errors(folder):
        database = folder / DATABASE
        check_version(connection, database, VERSION)
        _check_tables(connection, database)
        state = read_state(connection)
        if (state.sequence, state.records, state.vectors, state.documents) != (
            info.sequence,
            info.records,
            info.vectors,
            info.documents,
        ):
            raise damaged(database, "it is not what the manifest says")
        for row in damaged_rows(connection):
            raise damaged(database, f"{row} fails its checksum")
        _check_vectors(connection, Files.of(folder, info.spec))
        _check_indexes(connection, folder)


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    ((sound, *_), *_) = connection.execute("PRAGMA quick_check(1)").fetchall()
    if sound != "ok":
        raise damaged(path, str(sound))
    # Of these tables and no others: one from elsewhere brings no triggers along.
    if _tables(connection) != _expected_tables(path.with_name("expected.db")):
        raise damaged(path, "its tables are not those of a collection")


def _expected_tables(path: Path) -> list[tuple[str, str]]:
    try:
        create_collection_database(path)
        with closing(sqlite3.connect(path)) as fresh:
            return _tables(fresh)
    finally:
        path.unlink(missing_ok=True)


def _tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name"
    ).fetchall()


def _check_vectors(connection: sqlite3.Connection, files: Files) -> None:
    for (number,) in connection.execute("SELECT number FROM segments").fetchall():
        vectors = files.segment(number).map()
        held = connection.execute(
            "SELECT slot, checksum FROM rows WHERE segment = ? AND died IS NULL", (number,)
        )
        for slot, expected in held:
            if slot >= len(vectors) or checksum(vectors[slot].data) != expected:
                raise damaged(files.path(number), f"the vector at slot {slot:,} fails its checksum")


def _check_indexes(connection: sqlite3.Connection, folder: Path) -> None:
    for entry in read_entries(connection):
        path = AnnFiles(folder).path(entry.number)
        if not path.exists() or measure(path) != (entry.bytes, entry.checksum):
            raise damaged(path, "it fails its checksum")
