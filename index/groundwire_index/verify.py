"""Checks every file of an index against what was written, and names those that differ.

Vectors, approximate indexes, the pages of SQLite and its rows have checksums. What is derived is
compared with what it is derived from: words with texts, entries with metadata.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from groundwire_index import field_index, inversion
from groundwire_index.anns import AnnFiles, measure, read_entries
from groundwire_index.catalog import damaged_entries
from groundwire_index.damage import damaged_rows
from groundwire_index.errors import DataLossError, FailedPreconditionError, UnavailableError
from groundwire_index.files import Files
from groundwire_index.segments import checksum
from groundwire_index.stopped import StoppedCollection, StoppedIndex
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.databases import check_version
from groundwire_index.storage.page_sums import PAGE
from groundwire_index.storage.schema import VERSION
from groundwire_index.storage.segment_file import SegmentFile


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not as it was written."""

    file: Path
    what: str
    """What is wrong, and what it means."""


def verify_catalog(index: StoppedIndex) -> Iterator[Damage]:
    """Check the list of collections."""
    yield from _pages(index.catalog, index.connections)
    yield from _checked(index.catalog, index.connections, _form)
    yield from _checked(index.catalog, index.connections, damaged_entries)


def verify(collection: StoppedCollection, connections: ConnectionPool) -> Iterator[Damage]:
    """Check every file of one collection. Reads all of them."""

    def check(connection: sqlite3.Connection) -> Iterator[str]:
        check_version(connection, collection.database, VERSION)
        yield from _form(connection)
        yield from (f"{row} fails its checksum" for row in damaged_rows(connection))
        yield from _words(connection)
        yield from _fields(connection)

    yield from _pages(collection.database, connections)
    yield from _checked(collection.database, connections, check)
    yield from _vectors(collection, connections)
    yield from _anns(collection, connections)


def _pages(path: Path, connections: ConnectionPool) -> Iterator[Damage]:
    if not path.exists():
        return
    pages = connections.page_sums(path).differing()
    if pages is None:
        yield Damage(path, "has lost the checksums of its pages: it is looked through at a start")
    elif pages:
        yield Damage(
            path,
            f"{len(pages):,} of its pages fail their checksum, the first at byte "
            f"{PAGE * (pages[0] - 1):,}",
        )


def _checked(
    path: Path,
    connections: ConnectionPool,
    check: Callable[[sqlite3.Connection], Iterator[str]],
) -> Iterator[Damage]:
    try:
        with connections.lend(path, Role.READER) as connection:
            for what in check(connection):
                yield Damage(path, what)
    except (DataLossError, FailedPreconditionError, UnavailableError) as error:
        yield Damage(path, error.message)
    except (ValueError, TypeError, sqlite3.Error) as error:
        yield Damage(path, f"holds what cannot be read: {error}")


def _form(connection: sqlite3.Connection) -> Iterator[str]:
    for (found,) in connection.execute("PRAGMA integrity_check(3)"):
        if found != "ok":
            yield f"fails SQLite's check: {found}"


def _words(connection: sqlite3.Connection) -> Iterator[str]:
    """Whether the postings are those of the texts."""
    for number in _blocks(connection, inversion.BLOCK, "postings"):
        texts = connection.execute(
            "SELECT row, text FROM rows WHERE row BETWEEN ? AND ? AND died IS NULL "
            "AND text IS NOT NULL ORDER BY row",
            _rows_of(number, inversion.BLOCK),
        ).fetchall()
        expected = {
            group.term: group.postings.tobytes() for group in inversion.Inversion(texts).groups()
        }
        held = dict(
            connection.execute("SELECT term, data FROM postings WHERE block = ?", (number,))
        )
        if held != expected:
            yield (
                f"the words of records {number * inversion.BLOCK:,} and following are not those "
                "of their texts"
            )


def _fields(connection: sqlite3.Connection) -> Iterator[str]:
    """Whether the entries of indexed fields are those of the metadata."""
    for field in field_index.read_fields(connection):
        for number in _blocks(connection, field_index.BLOCK, "field_rows"):
            first, last = _rows_of(number, field_index.BLOCK)
            rows = connection.execute(
                "SELECT row, metadata FROM rows WHERE row BETWEEN ? AND ? AND died IS NULL "
                "ORDER BY row",
                (max(first, field.missing_below), last),
            )
            held = connection.execute(
                "SELECT field, kind, value, block, rows FROM field_rows "
                "WHERE field = ? AND block = ?",
                (field.number, number),
            )
            if field_index.entries_of([field], rows) != {one[:4]: one[4] for one in held}:
                yield (
                    f'the entries of field "{field.path}" of records {first:,} and following are '
                    "not those of their metadata"
                )


def _blocks(connection: sqlite3.Connection, size: int, table: str) -> list[int]:
    found = connection.execute(
        f"SELECT DISTINCT row / {size} FROM rows UNION SELECT DISTINCT block FROM {table}"  # noqa: S608 - names of ours
    )
    return sorted(number for (number,) in found)


def _rows_of(block: int, size: int) -> tuple[int, int]:
    return block * size, (block + 1) * size - 1


def _vectors(collection: StoppedCollection, connections: ConnectionPool) -> Iterator[Damage]:
    files = Files.of(collection.folder, collection.spec)
    try:
        with connections.lend(collection.database, Role.READER) as connection:
            for (number,) in connection.execute("SELECT number FROM segments").fetchall():
                wrong = _failing(connection, number, files.segment(number))
                if wrong:
                    yield Damage(
                        files.path(number),
                        f"{len(wrong):,} of its vectors fail their checksum, the first at byte "
                        f"{files.vector_bytes * wrong[0]:,}: restore it from a copy",
                    )
    except (DataLossError, UnavailableError, sqlite3.Error):
        # The database is at fault, and has been told.
        return


def _failing(connection: sqlite3.Connection, number: int, file: SegmentFile) -> list[int]:
    vectors = file.map()
    held = connection.execute(
        "SELECT slot, checksum FROM rows WHERE segment = ? ORDER BY slot", (number,)
    )
    return [
        slot
        for slot, expected in held
        if slot >= len(vectors) or checksum(vectors[slot].data) != expected
    ]


def _anns(collection: StoppedCollection, connections: ConnectionPool) -> Iterator[Damage]:
    files = AnnFiles(collection.folder)
    try:
        with connections.lend(collection.database, Role.READER) as connection:
            entries = read_entries(connection)
    except (DataLossError, UnavailableError, sqlite3.Error, ValueError, TypeError):
        return
    for entry in entries:
        path = files.path(entry.number)
        if not path.exists() or measure(path) != (entry.bytes, entry.checksum):
            yield Damage(path, "fails its checksum: it is built again when it is next needed")
