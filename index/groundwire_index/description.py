"""What is told of a collection: its sizes and its state, as far as it can be read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from groundwire_index.catalog import Entry
from groundwire_index.field_index import read_fields
from groundwire_index.records import CollectionInfo, CollectionSpec, CollectionState
from groundwire_index.snapshot import Snapshot
from groundwire_index.state import is_damaged
from groundwire_index.storage.folders import bytes_on_disk


def describe(
    snapshot: Snapshot, spec: CollectionSpec, create_time: datetime, aliases: tuple[str, ...]
) -> CollectionInfo:
    """A collection as a read finds it."""
    state, fields = snapshot.state, read_fields(snapshot.connection)
    damaged = is_damaged(snapshot.connection)
    return CollectionInfo(
        spec=spec,
        records=state.records,
        vectors=state.vectors,
        documents=state.documents,
        disk_bytes=bytes_on_disk(snapshot.files.folder),
        state=CollectionState.DAMAGED if damaged else CollectionState.READY,
        sequence=state.sequence,
        create_time=create_time,
        indexed_fields=tuple(one.path for one in fields if not one.missing_below),
        aliases=aliases,
    )


def describe_unread(
    entry: Entry, folder: Path, state: CollectionState, aliases: tuple[str, ...] = ()
) -> CollectionInfo:
    """A collection whose records are not there yet, or cannot be read."""
    return CollectionInfo(
        spec=entry.spec,
        records=0,
        vectors=0,
        documents=0,
        disk_bytes=bytes_on_disk(folder) if folder.exists() else 0,
        state=state,
        sequence=0,
        create_time=entry.created,
        aliases=aliases,
    )
