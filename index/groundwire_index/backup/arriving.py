"""An index folder that was put together from a copy, before anyone opens it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from groundwire_index.backup.contents import check_contents
from groundwire_index.backup.manifest import MANIFEST, read
from groundwire_index.backup.restoring import renew
from groundwire_index.catalog import CATALOG, Catalog
from groundwire_index.collection_folders import CollectionFolders
from groundwire_index.storage.connections import ConnectionPool
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import make_folder, sync_folder
from groundwire_index.storage.schema import ANNS, DATABASE, SEGMENTS


def settle(index: Path) -> None:
    """Check every collection that the catalog names, and make it one to be used.

    Raises DataLossError, naming the file, for one that is not what its manifest says, and
    FailedPreconditionError for one of a format that this release does not read.
    """
    with closing(ConnectionPool()) as connections:
        entries = Catalog(index / CATALOG, connections, lambda: 0.0).entries()
    folders = CollectionFolders(index)
    for _, entry in entries:
        _settle_collection(folders.path(entry.folder))
    with storage_errors(index):
        sync_folder(index)


def _settle_collection(folder: Path) -> None:
    with storage_errors(folder):
        check_contents(folder, read(folder))
        (folder / MANIFEST).unlink()
        for inside in (folder / SEGMENTS, folder / ANNS):
            # A copy lists files, not folders without any.
            if not inside.exists():
                make_folder(inside)
        renew(folder / DATABASE)
        sync_folder(folder)
