"""Does at once, to an index that nobody serves, what upkeep does over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from groundwire_index.collection import Collection
from groundwire_index.errors import GroundwireError
from groundwire_index.files import Files
from groundwire_index.index import Index
from groundwire_index.stopped import StoppedCollection, StoppedIndex, stopped
from groundwire_index.storage.connections import Role
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import bytes_on_disk


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of one collection."""

    tenant: str
    name: str
    purged: int
    """Rows that were deleted or replaced, and are gone for good now."""
    bytes_before: int
    bytes_after: int
    error: str = ""
    """Why it could not be done; the collection is as it was, or partly done."""


def compact(path: Path) -> list[Compacted]:
    """Purge, compact and build all that is due in the index at ``path``.

    What was deleted goes at once: a scroll that began before cannot be continued.
    """
    with stopped(path) as index:
        found = index.collections()
        before = [_bytes(one) for one in found]
    with Index.open(path, retention_s=0.0, background=False) as opened:
        tended = [_tended(opened, one) for one in found]
    with stopped(path) as index:
        errors = [
            error or _shrunk(index, one) for one, (_, error) in zip(found, tended, strict=True)
        ]
    return [
        Compacted(one.tenant, one.spec.name, purged, size, _bytes(one), error)
        for one, size, (purged, _), error in zip(found, before, tended, errors, strict=True)
    ]


def _bytes(collection: StoppedCollection) -> int:
    return bytes_on_disk(collection.folder) if collection.folder.exists() else 0


def _tended(index: Index, found: StoppedCollection) -> tuple[int, str]:
    """How many rows were purged, and what went wrong."""
    purged = 0
    try:
        collection = index.collection(found.tenant, found.spec.name)
        purged = collection.upkeep.purge()
        _finish(collection)
    except GroundwireError as error:
        return purged, error.message
    return purged, ""


def _finish(collection: Collection) -> None:
    upkeep = collection.upkeep
    for step in (upkeep.compact, upkeep.index_field, upkeep.build_index):
        while step():
            pass


def _shrunk(index: StoppedIndex, found: StoppedCollection) -> str:
    """Remove files that nothing names, and pages of the database that hold nothing."""
    try:
        with index.connections.lend(found.database, Role.WRITER) as connection:
            manifest = dict(connection.execute("SELECT number, slots FROM segments"))
            with storage_errors(found.folder):
                Files.of(found.folder, found.spec).sweep(manifest)
            connection.execute("VACUUM")
        with index.connections.lend(found.database, Role.WRITER) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except GroundwireError as error:
        return error.message
    return ""
