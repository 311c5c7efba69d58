"""Taking snapshots of collections, and restoring them, under the same name or another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from groundwire_index.backup.manifest import SnapshotInfo
from groundwire_index.backup.restoring import restore_files
from groundwire_index.backup.store import SnapshotStore
from groundwire_index.backup.transfer import Incoming, Piece, outgoing
from groundwire_index.checks import check_id, check_key, require
from groundwire_index.records import CollectionInfo, CollectionSpec


class Copied(Protocol):
    """A collection, as far as a snapshot needs it."""

    @property
    def spec(self) -> CollectionSpec:
        """What it is by now."""

    def copy_to(self, folder: Path) -> None:
        """Put a consistent copy of it into an empty folder."""


class Home(Protocol):
    """Where collections are."""

    def collection(self, tenant: str, name: str) -> Copied:
        """One of them. Raises NotFoundError."""

    def adopt(
        self, tenant: str, spec: CollectionSpec, fill: Callable[[Path], None], *, replacing: bool
    ) -> CollectionInfo:
        """Have one whose folder ``fill`` makes."""


class Snapshots:
    """The snapshots of an index. All methods block and are thread-safe.

    A snapshot is a collection as it was after one write. It outlives the collection, and neither
    changes with the other. Files that never change again are shared by hard link: they take no
    room, and damage to the disk under them is damage to all that share them.
    """

    def __init__(self, store: SnapshotStore, home: Home) -> None:
        self._store = store
        self._home = home

    def take(self, tenant: str, name: str, *, idempotency_key: str = "") -> SnapshotInfo:
        """Take a snapshot of a collection, while reads and writes go on.

        When this returns, it is on stable storage and has been checked, every vector of it. With
        an idempotency key, one is taken once for as long as it is kept; AlreadyExistsError if
        the key came with another collection. Raises DataLossError for a damaged collection.
        """
        check_id(tenant, "tenant")
        check_key(idempotency_key)
        collection = self._home.collection(tenant, name)
        return self._store.take(tenant, collection.spec, collection.copy_to, idempotency_key)

    def page(
        self, tenant: str, *, collection: str = "", before: str = "", limit: int = 100
    ) -> list[SnapshotInfo]:
        """Newest first, the first ``limit`` that are older than ``before``, an id.

        Of one collection, whether it is still there or not; of all if empty. One whose manifest
        is damaged is left out, and logged.
        """
        require(limit >= 1, "limit", "must be at least 1")
        return self._store.page(tenant, collection, before, limit)

    def find(self, tenant: str, snapshot_id: str) -> SnapshotInfo:
        """One snapshot. Raises NotFoundError, and DataLossError if its manifest is damaged."""
        return self._store.find(tenant, snapshot_id)

    def delete(self, tenant: str, snapshot_id: str) -> None:
        """Delete a snapshot, also a damaged one. Raises NotFoundError."""
        self._store.remove(tenant, snapshot_id)

    def restore(
        self, tenant: str, snapshot_id: str, *, name: str = "", replacing: bool = False
    ) -> CollectionInfo:
        """Restore a snapshot under a name, its own if empty.

        Every file is checked first. Then the collection is there at once: if it is ``replacing``
        one of that name, each read sees the former or the restored one, and so it is after a
        crash at any point. Raises AlreadyExistsError if the name is taken otherwise, and
        DataLossError, naming the file, if the snapshot is damaged; nothing has changed then.
        """
        info = self._store.find(tenant, snapshot_id)
        folder = self._store.folder(tenant, snapshot_id)
        return self._home.adopt(
            tenant,
            replace(info.spec, name=name or info.spec.name),
            lambda target: restore_files(folder, info, target),
            replacing=replacing,
        )

    def outgoing(self, tenant: str, snapshot_id: str) -> Iterator[Piece]:
        """All of a snapshot in pieces, its manifest first. Raises NotFoundError."""
        info = self._store.find(tenant, snapshot_id)
        return outgoing(self._store.folder(tenant, snapshot_id), info)

    def incoming(self, tenant: str) -> Incoming:
        """Take a snapshot in, piece by piece."""
        check_id(tenant, "tenant")
        return Incoming(self._store, tenant)
