"""What a collection consists of: its segments, indexes and fields, and what they take."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from groundwire_index.anns import read_entries
from groundwire_index.coverage import uncovered
from groundwire_index.field_index import read_fields
from groundwire_index.files import Files
from groundwire_index.state import is_damaged, read_state
from groundwire_index.stopped import StoppedCollection
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.databases import check_version
from groundwire_index.storage.folders import bytes_on_disk
from groundwire_index.storage.schema import VERSION


@dataclass(frozen=True, slots=True)
class SegmentStat:
    """One file of vectors."""

    number: int
    slots: int
    """Vectors that were written to it."""
    live: int
    """Those that count."""
    dead_share: float
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class AnnStat:
    """One approximate index."""

    number: int
    kind: str
    parameters: Mapping[str, str]
    vectors: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CollectionStat:
    """A collection as it lies on the disk."""

    tenant: str
    name: str
    aliases: tuple[str, ...]
    records: int
    vectors: int
    documents: int
    sequence: int
    damaged: bool
    """Vectors failed their checksum when it was last open."""
    index_kind: str
    vector_type: str
    segments: tuple[SegmentStat, ...]
    anns: tuple[AnnStat, ...]
    ann_coverage: float
    """Share of the vectors in segments that the approximate indexes cover, 0 to 1."""
    indexed_fields: tuple[str, ...]
    disk_bytes: int


def stat(collection: StoppedCollection, connections: ConnectionPool) -> CollectionStat:
    """Describe a collection. Reads the manifest, and no vectors."""
    # Before SQLite adds the files that it works with.
    disk_bytes = bytes_on_disk(collection.folder) if collection.folder.exists() else 0
    with connections.lend(collection.database, Role.READER) as connection:
        check_version(connection, collection.database, VERSION)
        state = read_state(connection)
        segments = _segments(connection, Files.of(collection.folder, collection.spec))
        fields = read_fields(connection)
        return CollectionStat(
            tenant=collection.tenant,
            name=collection.spec.name,
            aliases=collection.aliases,
            records=state.records,
            vectors=state.vectors,
            documents=state.documents,
            sequence=state.sequence,
            damaged=is_damaged(connection),
            index_kind=collection.spec.index_kind,
            vector_type=collection.spec.vector_type.value,
            segments=segments,
            anns=_anns(connection),
            ann_coverage=_coverage(connection, segments),
            indexed_fields=tuple(one.path for one in fields if not one.missing_below),
            disk_bytes=disk_bytes,
        )


def _segments(connection: sqlite3.Connection, files: Files) -> tuple[SegmentStat, ...]:
    found = connection.execute(
        "SELECT s.number, s.slots, count(r.row) FROM segments s LEFT JOIN rows r "
        "ON r.segment = s.number AND r.died IS NULL GROUP BY s.number ORDER BY s.number"
    )
    return tuple(
        SegmentStat(
            number=number,
            slots=slots,
            live=live,
            dead_share=1 - live / slots if slots else 0.0,
            disk_bytes=_disk_bytes(files.path(number)),
        )
        for number, slots, live in found
    )


def _disk_bytes(path: Path) -> int:
    return path.stat().st_blocks * 512 if path.exists() else 0


def _anns(connection: sqlite3.Connection) -> tuple[AnnStat, ...]:
    return tuple(
        AnnStat(entry.number, entry.kind, entry.parameters, entry.size, entry.bytes)
        for entry in read_entries(connection)
    )


def _coverage(connection: sqlite3.Connection, segments: tuple[SegmentStat, ...]) -> float:
    slots = {segment.number: segment.slots for segment in segments}
    total = sum(slots.values())
    left_over = sum(map(len, uncovered(slots, read_entries(connection))))
    return 1 - left_over / total if total else 0.0
