"""Copies a collection in use: the database by SQLite's own means, the vectors it counts by link.

All of it is as of one write: the database is read in one transaction, and no byte below the end
of a segment that it knows ever changes. A segment that is still written to is copied up to there:
through a link, a restored collection and this one would write over each other.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from groundwire_index.anns import AnnFiles, drop_entries, read_entries
from groundwire_index.backup.contents import state_of
from groundwire_index.backup.files import describe, place, sync_file
from groundwire_index.backup.manifest import SnapshotInfo, StoredFile
from groundwire_index.records import CollectionSpec
from groundwire_index.snapshot import Snapshot
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import make_folder, sync_folder
from groundwire_index.storage.schema import ANNS, DATABASE, SEGMENTS


def copy_collection(snapshot: Snapshot, target: Path) -> None:
    """Copy what a read sees, and the indexes over it, into an empty folder.

    The caller sees to it that no segment is dropped meanwhile. An index that has just been
    replaced is left out: it can be built again.
    """
    with storage_errors(target):
        make_folder(target / SEGMENTS)
        make_folder(target / ANNS)
        with closing(sqlite3.connect(target / DATABASE, isolation_level=None)) as database:
            snapshot.connection.backup(database)
            _link_indexes(database, AnnFiles(snapshot.files.folder), AnnFiles(target))
        sync_file(target / DATABASE)
        _place_segments(snapshot, target)
        for folder in (target / SEGMENTS, target / ANNS, target):
            sync_folder(folder)


def describe_copy(
    folder: Path, snapshot_id: str, spec: CollectionSpec, now: datetime
) -> SnapshotInfo:
    """What a copy is a snapshot of, with the checksums of its files."""
    state = state_of(folder)
    return SnapshotInfo(
        id=snapshot_id,
        spec=spec,
        sequence=state.sequence,
        records=state.records,
        vectors=state.vectors,
        documents=state.documents,
        create_time=now,
        files=_describe_files(folder),
    )


def _describe_files(folder: Path) -> tuple[StoredFile, ...]:
    """All files of a copy, with their checksums."""
    with storage_errors(folder):
        return tuple(
            describe(folder, str(path.relative_to(folder)), path.stat().st_size)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        )


def _link_indexes(database: sqlite3.Connection, source: AnnFiles, target: AnnFiles) -> None:
    for entry in read_entries(database):
        try:
            place(source.path(entry.number), target.path(entry.number), entry.bytes, final=True)
        except FileNotFoundError:
            drop_entries(database, [entry.number])


def _place_segments(snapshot: Snapshot, target: Path) -> None:
    files = snapshot.files
    copies = replace(files, folder=target)
    slots = dict(snapshot.connection.execute("SELECT number, slots FROM segments"))
    last = max(slots, default=0)
    for number, count in slots.items():
        if count:
            place(
                files.path(number),
                copies.path(number),
                files.vector_bytes * count,
                final=number < last,
            )
