"""An index folder that no server has open, to look at and to check."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from groundwire_index.aliases import Aliases
from groundwire_index.catalog import CATALOG, Catalog
from groundwire_index.collection_folders import CollectionFolders
from groundwire_index.errors import NotFoundError
from groundwire_index.records import CollectionSpec
from groundwire_index.storage.connections import ConnectionPool
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.lock import FolderLock
from groundwire_index.storage.schema import DATABASE


@dataclass(frozen=True, slots=True)
class StoppedCollection:
    """Where a collection is, and what it is."""

    tenant: str
    spec: CollectionSpec
    aliases: tuple[str, ...]
    folder: Path

    @property
    def database(self) -> Path:
        """Its records, and the manifest of its other files."""
        return self.folder / DATABASE


@dataclass(frozen=True, slots=True)
class StoppedIndex:
    """An index that this process holds, without serving it."""

    path: Path
    connections: ConnectionPool

    @property
    def catalog(self) -> Path:
        """The list of its collections."""
        return self.path / CATALOG

    def collections(self) -> list[StoppedCollection]:
        """All collections of all tenants, in order. Raises DataLossError if they are unknown."""
        aliases = Aliases(self.catalog, self.connections, time.time)
        folders = CollectionFolders(self.path)
        return [
            StoppedCollection(
                tenant,
                entry.spec,
                aliases.of(tenant, entry.spec.name),
                folders.path(entry.folder),
            )
            for tenant, entry in Catalog(self.catalog, self.connections, time.time).entries()
        ]


@contextmanager
def stopped(path: Path) -> Iterator[StoppedIndex]:
    """Hold an index folder.

    Raises NotFoundError if there is none, and FailedPreconditionError, naming the holder, if a
    process has it open.
    """
    if not (path / CATALOG).exists():
        raise NotFoundError(f"there is no index in {path}: check the folder")
    with storage_errors(path):
        lock = FolderLock(path)
    connections = ConnectionPool()
    try:
        yield StoppedIndex(path, connections)
    finally:
        connections.close()
        lock.close()
