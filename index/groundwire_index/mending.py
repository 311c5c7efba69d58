"""What is done about a collection's database some pages of which are not as they were written.

Everything in it that is derived is made again, if all that it is made of is sound. If a few
records are not, and all else is, reads of these fail and writes are refused. Otherwise nothing of
the collection can be trusted.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

from groundwire_index.damage import contradictions, damaged_rows
from groundwire_index.errors import DataLossError
from groundwire_index.files import Files
from groundwire_index.postings import add_texts
from groundwire_index.state import State, read_state, write_state
from groundwire_index.storage.connections import Role, connect
from groundwire_index.storage.databases import check_version
from groundwire_index.storage.failures import damaged_file, doubtful
from groundwire_index.storage.folders import sync_folder
from groundwire_index.storage.looking import looking
from groundwire_index.storage.page_sums import PAGE, PageSums
from groundwire_index.storage.schema import (
    DATABASE,
    VERSION,
    create_collection_database,
)

# Texts whose words are put in line at once.
_TEXTS = 4096

_log = logging.getLogger(__name__)


def mended(files: Files) -> DataLossError | None:
    """See to the database of a collection that nobody uses; what its reads and writes are to say.

    Quick if no page differs. Raises DataLossError if nothing of the collection can be trusted.
    """
    database = files.folder / DATABASE
    with doubtful(database):
        pages = PageSums(database).differing()
        return None if pages == [] else _seen_to(database, files, pages)


def _seen_to(database: Path, files: Files, pages: Sequence[int] | None) -> DataLossError | None:
    where = _where(pages)
    _log.warning("%s: %s", database, where)
    # The log stays where it is: its pages have no sums in their place yet.
    with looking(database) as connection:
        check_version(connection, database, VERSION)
        rows = list(islice(damaged_rows(connection), 1))
        amiss = next(contradictions(connection, files), None)
        one_page = pages is not None and len(pages) == 1
        if rows and one_page and amiss is None:
            return _confined(database, rows[0])
        if rows or amiss:
            raise damaged_file(database, f"{where}: {amiss or rows[0]}")
        state = read_state(connection)
    _make_again(database, files, replace(state, purged=state.sequence))
    return None


def _where(pages: Sequence[int] | None) -> str:
    if pages is None:
        return "the checksums of its pages are lost"
    return (
        f"{len(pages):,} of its pages fail their checksum, the first at byte "
        f"{PAGE * (pages[0] - 1):,}"
    )


def _confined(database: Path, row: str) -> DataLossError:
    return DataLossError(
        f"{database} is damaged: {row} fails its checksum. Reads of it fail, and so do filters "
        "and writes; the rest is served. Restore the collection from a copy, or delete it and "
        "fill it again",
        reason="RECORDS_DAMAGED",
        metadata={"file": str(database)},
    )


def _make_again(database: Path, files: Files, state: State) -> None:
    """Put a database in its place that holds its rows, and all else made of them again.

    What was deleted or replaced is left out, so that scrolls that began before cannot go on.
    Approximate indexes, and the indexes of fields, are built when they are next due.
    """
    fresh = database.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    create_collection_database(fresh)
    with closing(connect(fresh, Role.WRITER)) as connection:
        connection.execute("ATTACH ? AS old", (str(database),))
        connection.execute("BEGIN")
        _copy_rows(connection)
        write_state(connection, state)
        _name_segments(connection, files)
        _take_in_texts(connection)
        connection.execute("COMMIT")
    if database.with_name(f"{DATABASE}-wal").exists():
        raise damaged_file(database, "its log cannot be written to its place")
    fresh.replace(database)
    sync_folder(database.parent)
    PageSums(database).renew()


def _copy_rows(connection: sqlite3.Connection) -> None:
    for table, condition in (("rows", "WHERE died IS NULL"), ("documents", ""), ("answers", "")):
        found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        columns = ", ".join(name for (name,) in found)
        connection.execute(
            f"INSERT INTO main.{table} ({columns}) "  # noqa: S608 - names of ours
            f"SELECT {columns} FROM old.{table} NOT INDEXED {condition}"
        )


def _name_segments(connection: sqlite3.Connection, files: Files) -> None:
    """Every vector for which there is a file counts as taken; the last file goes on growing."""
    ends = dict(
        connection.execute(
            "SELECT segment, max(slot) + 1 FROM rows WHERE segment IS NOT NULL GROUP BY segment"
        )
    )
    numbers = sorted({*ends, *files.numbers()})
    for number in numbers[:-1]:
        ends[number] = files.path(number).stat().st_size // files.vector_bytes
    connection.executemany(
        "INSERT INTO segments (number, slots, checksum) VALUES (?, ?, NULL)",
        [(number, ends.get(number, 0)) for number in numbers],
    )


def _take_in_texts(connection: sqlite3.Connection) -> None:
    found = connection.execute("SELECT row, text FROM rows WHERE text IS NOT NULL ORDER BY row")
    while texts := found.fetchmany(_TEXTS):
        add_texts(connection, texts)
