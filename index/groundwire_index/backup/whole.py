"""Copies a whole index folder: every collection of every tenant, and the catalog of them.

It does not matter whether a process has the folder open: nothing waits, and nothing is changed.
Each collection is as of one write of its own. The catalog is copied last, and again until it
names no collection that has not been copied: what was created, replaced or restored meanwhile is
then whole too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from groundwire_index.backup.contents import check_contents
from groundwire_index.backup.copying import describe_copy
from groundwire_index.backup.files import write
from groundwire_index.backup.manifest import MANIFEST, SnapshotInfo, encode, new_snapshot_id
from groundwire_index.backup.unshared import copy_database, copy_unshared
from groundwire_index.catalog import CATALOG, Catalog, Entry
from groundwire_index.collection_folders import CollectionFolders
from groundwire_index.errors import DataLossError, GroundwireError
from groundwire_index.files import Files
from groundwire_index.storage.connections import ConnectionPool
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import sync_folder
from groundwire_index.storage.looking import looking


@dataclass(frozen=True, slots=True)
class CopiedCollection:
    """A collection in its copy's folder, which is a snapshot's: with a manifest of its own."""

    tenant: str
    folder: Path
    info: SnapshotInfo


class IndexCopy:
    """The copy of an index folder, as it is made. Used by one thread."""

    def __init__(
        self,
        source: Path,
        target: Path,
        *,
        now: Callable[[], float] = time.time,
        begin: Callable[[str, str], None],
    ) -> None:
        """Copy from a folder into another, which is empty.

        ``begin`` is told tenant and name of each collection before it is copied.
        """
        self._source = source
        self._target = target
        self._originals = CollectionFolders(source)
        self._copies = CollectionFolders(target)
        self._now = now
        self._begin = begin
        self.listed: frozenset[str] = frozenset()
        """Folders of the collections that `catalog` names, once all have been copied."""

    @property
    def catalog(self) -> Path:
        """The copied catalog, once all collections have been copied."""
        return self._target / CATALOG

    def collections(self) -> Iterator[CopiedCollection]:
        """Copy one after the other, each checked in full; the caller may move what it is given.

        After the last, `catalog` is there. One that has been deleted or replaced since it was
        given is not in it, nor `listed`. Raises DataLossError, naming the file, if one is damaged.
        """
        self._copies.prepare(())
        copied: set[str] = set()
        while missing := [
            (one, entry) for one, entry in self._list() if entry.folder not in copied
        ]:
            for tenant, entry in missing:
                copied.add(entry.folder)
                self._begin(tenant, entry.spec.name)
                found = self._copy(tenant, entry)
                if found is not None:
                    yield found

    def _list(self) -> list[tuple[str, Entry]]:
        """Copy the catalog as it is now; what it lists."""
        with storage_errors(self.catalog):
            self.catalog.unlink(missing_ok=True)
        with looking(self._source / CATALOG) as connection:
            copy_database(connection, self.catalog)
        entries = self._read_catalog()
        self.listed = frozenset(entry.folder for _, entry in entries)
        with storage_errors(self._target):
            sync_folder(self._target)
        return entries

    def _read_catalog(self) -> list[tuple[str, Entry]]:
        try:
            with closing(ConnectionPool()) as connections:
                catalog = Catalog(self.catalog, connections, self._now)
                if catalog.damage is not None:
                    raise catalog.damage
                return catalog.entries()
        except DataLossError as error:
            raise _damaged(self._original(error), "the list of all collections") from error

    def _copy(self, tenant: str, entry: Entry) -> CopiedCollection | None:
        target = self._copies.path(entry.folder)
        try:
            copy_unshared(Files.of(self._originals.path(entry.folder), entry.spec), target)
            return CopiedCollection(tenant, target, self._described(target, entry))
        except GroundwireError as error:
            self._list()
            if entry.folder not in self.listed:
                # Deleted, or another one restored in its place, since it was listed.
                self._copies.remove(entry.folder)
                return None
            if isinstance(error, DataLossError):
                raise _damaged(self._original(error), f'collection "{entry.spec.name}"') from error
            raise

    def _described(self, folder: Path, entry: Entry) -> SnapshotInfo:
        now = datetime.fromtimestamp(self._now(), UTC)
        info = describe_copy(folder, new_snapshot_id(now), entry.spec, now)
        check_contents(folder, info)
        with storage_errors(folder):
            write(folder / MANIFEST, encode(info))
            sync_folder(folder)
        return info

    def _original(self, error: DataLossError) -> Path:
        path = Path(error.metadata.get("file", self._source))
        if path.is_relative_to(self._target):
            return self._source / path.relative_to(self._target)
        return path


def _damaged(path: Path, what: str) -> DataLossError:
    return DataLossError(
        f"{path} is damaged, and with it {what}: restore that from a snapshot or a backup, or "
        "delete it, then back up again. `groundwire index verify` names all that is damaged",
        reason="FILE_DAMAGED",
        metadata={"file": str(path)},
    )
