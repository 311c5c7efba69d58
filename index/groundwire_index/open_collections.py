"""The collections of an index that are in use: each is opened when it is first asked for."""

from __future__ import annotations

from pathlib import Path

from groundwire_index.aliases import Aliases
from groundwire_index.catalog import Entry
from groundwire_index.collection import Collection
from groundwire_index.collection_folders import CollectionFolders
from groundwire_index.collection_store import CollectionStore
from groundwire_index.errors import (
    DataLossError,
    FailedPreconditionError,
    GroundwireError,
    UnavailableError,
)
from groundwire_index.files import Files
from groundwire_index.gpu import Gpus
from groundwire_index.mending import mended
from groundwire_index.purge import Retention
from groundwire_index.record_cache import RecordCache
from groundwire_index.state import State, read_state
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.databases import check_version
from groundwire_index.storage.schema import DATABASE, VERSION
from groundwire_index.upkeep import Background, Upkeep


class OpenCollections:
    """Any thread may look one up; they are opened and closed by one thread at a time."""

    def __init__(
        self,
        folders: CollectionFolders,
        aliases: Aliases,
        connections: ConnectionPool,
        retention: Retention,
        segment_bytes: int,
        background: Background,
        gpus: Gpus,
        recent: RecordCache,
    ) -> None:
        self._folders = folders
        self._aliases = aliases
        self._connections = connections
        self._retention = retention
        self._segment_bytes = segment_bytes
        self._background = background
        self._gpus = gpus
        self._recent = recent
        self._open: dict[tuple[str, str], Collection] = {}
        # By folder: what is looked through once is not looked through for every call.
        self._lost: dict[str, DataLossError] = {}

    def get(self, tenant: str, name: str) -> Collection | None:
        """One by its own name, if it is open. Does not touch the disk."""
        return self._open.get((tenant, name))

    def open(self, tenant: str, entry: Entry) -> Collection:
        """One that is not open yet.

        Raises DataLossError if it is missing or cannot be trusted, and FailedPreconditionError if
        it is of another release.
        """
        if lost := self._lost.get(entry.folder):
            raise lost
        folder, name = self._folders.path(entry.folder), entry.spec.name
        database = folder / DATABASE
        if not database.exists():
            raise DataLossError(
                f"{database} is missing: restore it from a copy, or delete the collection",
                reason="FILE_MISSING",
                metadata={"file": str(database)},
            )
        store = CollectionStore(
            folder,
            entry.spec,
            self._connections,
            self._retention,
            self._segment_bytes,
            self._gpus,
            self._recent,
            self._damage(entry),
        )
        collection = Collection(
            store,
            entry,
            lambda: self._aliases.of(tenant, name),
            Upkeep(store, entry.spec, self._background),
        )
        self._open[tenant, name] = collection
        return collection

    def take(self, tenant: str, name: str) -> Collection | None:
        """One that is open, to be closed: nobody finds it here any more."""
        return self._open.pop((tenant, name), None)

    def take_all(self) -> list[Collection]:
        """All that are open, to be closed."""
        taken = list(self._open.values())
        self._open.clear()
        return taken

    def purge(self) -> int:
        """Purge all that are open; how many rows were removed.

        Raises what one of them raised, when all have had their turn.
        """
        removed, errors = 0, []
        for collection in list(self._open.values()):
            try:
                removed += collection.upkeep.purge()
            except GroundwireError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return removed

    def _damage(self, entry: Entry) -> DataLossError | None:
        folder = self._folders.path(entry.folder)
        try:
            damage = mended(Files.of(folder, entry.spec))
            self._state(folder / DATABASE)
        except DataLossError as error:
            self._lost[entry.folder] = error
            raise
        return damage

    def count_left(self, entry: Entry) -> int:
        """The live records of one that is not open; 0 if it cannot be read."""
        try:
            return self._state(self._folders.path(entry.folder) / DATABASE).records
        except (DataLossError, FailedPreconditionError, UnavailableError):
            return 0

    def _state(self, database: Path) -> State:
        with self._connections.lend(database, Role.READER) as connection:
            check_version(connection, database, VERSION)
            return read_state(connection)
