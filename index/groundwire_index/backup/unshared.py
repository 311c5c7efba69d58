"""Copies a collection that any process may have in use, so that nothing is shared with it.

All of it is as of one write: the database is read in one transaction, in which the files that it
names are opened. No byte that it knows of ever changes, and an open file stays, whatever becomes
of its name: a collection that is compacted, replaced or deleted meanwhile is copied to its end.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from groundwire_index.anns import AnnFiles, drop_entries, measure, read_entries
from groundwire_index.backup.files import copy_open, sync_file
from groundwire_index.files import Files
from groundwire_index.storage.databases import check_version
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import make_folder, sync_folder
from groundwire_index.storage.looking import looking, opened
from groundwire_index.storage.schema import ANNS, DATABASE, SEGMENTS, VERSION


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file of the collection, and how much of it counts."""

    file: BinaryIO
    source: Path
    target: Path
    size: int


def copy_unshared(files: Files, target: Path) -> None:
    """Copy the collection that has these files to a new folder, on stable storage.

    An approximate index that has just been replaced, or is damaged, is left out: it can be built
    again. Raises UnavailableError if the collection is not there, or went while its files were
    opened, FailedPreconditionError if this user may not read it, and DataLossError for a file that
    is too short.
    """
    source = files.folder
    with storage_errors(target), ExitStack() as open_files:
        for folder in (target, target / SEGMENTS, target / ANNS):
            make_folder(folder)
        with looking(source / DATABASE) as connection:
            connection.execute("BEGIN")
            check_version(connection, source / DATABASE, VERSION)
            found = [
                *_open_segments(connection, files, replace(files, folder=target), open_files),
                *_open_indexes(connection, source, target, open_files),
            ]
            copy_database(connection, target / DATABASE)
        for one in found:
            copy_open(one.file, one.source, one.target, one.size)
        _leave_out_unsound_indexes(target)
        for folder in (target / SEGMENTS, target / ANNS, target):
            sync_folder(folder)


def copy_database(connection: sqlite3.Connection, target: Path) -> None:
    """Copy what a connection reads to a new database, on stable storage."""
    with storage_errors(target):
        with closing(sqlite3.connect(target, isolation_level=None)) as database:
            connection.backup(database)
        sync_file(target)


def _open_segments(
    connection: sqlite3.Connection,
    files: Files,
    copies: Files,
    open_files: ExitStack,
) -> Iterator[_Opened]:
    for number, slots in connection.execute("SELECT number, slots FROM segments WHERE slots > 0"):
        path = files.path(number)
        file = open_files.enter_context(opened(path))
        yield _Opened(file, path, copies.path(number), files.vector_bytes * slots)


def _open_indexes(
    connection: sqlite3.Connection, source: Path, target: Path, open_files: ExitStack
) -> Iterator[_Opened]:
    for entry in read_entries(connection):
        path = AnnFiles(source).path(entry.number)
        try:
            file = open_files.enter_context(opened(path))
        except FileNotFoundError:
            continue
        size = min(entry.bytes, os.fstat(file.fileno()).st_size)
        yield _Opened(file, path, AnnFiles(target).path(entry.number), size)


def _leave_out_unsound_indexes(folder: Path) -> None:
    database = folder / DATABASE
    with storage_errors(database):
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            for entry in read_entries(connection):
                path = AnnFiles(folder).path(entry.number)
                if not path.exists() or measure(path) != (entry.bytes, entry.checksum):
                    path.unlink(missing_ok=True)
                    drop_entries(connection, [entry.number])
        sync_file(database)
