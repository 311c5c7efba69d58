"""Where collections lie: each in a folder of its own, whose name never comes back."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from groundwire_index.errors import GroundwireError
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import make_folder, sync_folder
from groundwire_index.storage.page_sums import PageSums
from groundwire_index.storage.schema import ANNS, DATABASE, SEGMENTS, create_collection_database

COLLECTIONS = "collections"


class CollectionFolders:
    """The folders in an index. Which of them count, the catalog says. Thread-safe."""

    def __init__(self, index: Path) -> None:
        self._path = index / COLLECTIONS

    def prepare(self, known: Collection[str] | None) -> None:
        """Remove all but the ``known``: they were not finished, or not removed.

        None are removed if they are not known.
        """
        with storage_errors(self._path):
            if not self._path.exists():
                make_folder(self._path)
            for folder in self._path.iterdir():
                if known is not None and folder.name not in known:
                    self.remove(folder.name)

    def path(self, name: str) -> Path:
        """One of them."""
        return self._path / name

    @contextmanager
    def new(self) -> Iterator[Path]:
        """Where another may be made. It goes again if that, or what is done with it, fails."""
        folder = self._path / uuid.uuid4().hex
        try:
            yield folder
        except GroundwireError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def remove(self, name: str) -> None:
        """Remove one that the catalog does not name any more; what stays of it goes when the index
        is opened next.
        """
        shutil.rmtree(self.path(name), ignore_errors=True)


def make_empty(folder: Path) -> None:
    """Make the folder of a collection without records, on stable storage."""
    with storage_errors(folder):
        make_folder(folder)
        make_folder(folder / SEGMENTS)
        make_folder(folder / ANNS)
        create_collection_database(folder / DATABASE)
        PageSums(folder / DATABASE).renew()
        sync_folder(folder)
