"""A folder of collections, held by one process at a time."""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from groundwire_index.aliases import Aliases
from groundwire_index.backup.snapshots import Snapshots
from groundwire_index.backup.store import SnapshotStore
from groundwire_index.catalog import CATALOG, COLLECTIONS, Catalog, Entry, not_found
from groundwire_index.checks import check_id, check_key, check_name, check_spec, require
from groundwire_index.collection import Collection
from groundwire_index.errors import (
    DataLossError,
    FailedPreconditionError,
    GroundwireError,
    NotFoundError,
    UnavailableError,
)
from groundwire_index.field_indexer import FROM_RECORDS, FieldIndexing
from groundwire_index.indexer import Indexer
from groundwire_index.purge import RETENTION_S, Retention
from groundwire_index.records import (
    CollectionChange,
    CollectionInfo,
    CollectionSpec,
    CollectionState,
    SearchMode,
)
from groundwire_index.segments import SEGMENT_BYTES
from groundwire_index.state import read_state
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.databases import check_version
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.folders import bytes_on_disk, make_folder, sync_folder
from groundwire_index.storage.lock import FolderLock
from groundwire_index.storage.schema import (
    ANNS,
    DATABASE,
    SEGMENTS,
    VERSION,
    create_collection_database,
)


class Index:
    """All collections of all tenants, in one folder. All methods block and are thread-safe.

    Use it as a context manager, or call `close`. One process at a time may have a folder open.
    """

    text_mode = SearchMode.HYBRID

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        retention_s: float = RETENTION_S,
        segment_bytes: int = SEGMENT_BYTES,
        background: bool = True,
        index_fields_from: int = FROM_RECORDS,
    ) -> None:
        """See `open`."""
        self._path = path
        self._retention = Retention(now, retention_s)
        self._segment_bytes = segment_bytes
        self._indexer = Indexer() if background else None
        # What takes seconds does not wait for what takes minutes.
        fields = Indexer() if background else None
        self._field_indexing = FieldIndexing(fields, index_fields_from)
        self._changing = threading.Lock()
        self._open: dict[tuple[str, str], Collection] = {}
        self._closed = False
        self._connections = ConnectionPool()
        with storage_errors(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = FolderLock(path)
        try:
            self._catalog = self._prepared(now)
            self._aliases = Aliases(path / CATALOG, self._connections, now)
            self.snapshots = Snapshots(SnapshotStore(path, now), self)
        except BaseException:
            self._lock.close()
            raise

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        retention_s: float = RETENTION_S,
        segment_bytes: int = SEGMENT_BYTES,
        background: bool = True,
        index_fields_from: int = FROM_RECORDS,
    ) -> Self:
        """Open a folder, which is made if it is not there.

        ``now`` gives seconds since the epoch. Deleted and replaced records are kept
        ``retention_s`` seconds for scrolls that began before. Vectors lie in files of at most
        ``segment_bytes``. Fields that filters compare are indexed once a collection has
        ``index_fields_from`` records. Indexes are built in threads of their own, unless
        ``background`` is false: then by `Collection.build_index` and `index_field` alone. Raises
        FailedPreconditionError, naming the holder, if the folder is open already, and
        UnavailableError if it cannot be written to.
        """
        return cls(
            path,
            now=now,
            retention_s=retention_s,
            segment_bytes=segment_bytes,
            background=background,
            index_fields_from=index_fields_from,
        )

    def close(self) -> None:
        """Finish the writes in progress and let the folder go."""
        with self._changing:
            self._closed = True
            collections = list(self._open.values())
            self._open.clear()
        for indexer in (self._indexer, self._field_indexing.thread):
            if indexer is not None:
                indexer.close()
        for collection in collections:
            collection.close(_closed())
        self._connections.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def create_collection(
        self, tenant: str, spec: CollectionSpec, *, idempotency_key: str = ""
    ) -> CollectionInfo:
        """Create an empty collection.

        Raises AlreadyExistsError if the tenant has one of that name, or if the idempotency key
        came with another spec; with the same spec it gives the first answer again.
        """
        check_id(tenant, "tenant")
        check_key(idempotency_key)
        check_spec(spec)
        with self._changing:
            self._require_open()
            answered = None
            if idempotency_key:
                answered = self._catalog.answered(tenant, idempotency_key, spec)
            entry = answered or self._create(tenant, spec, idempotency_key)
            return self._empty(entry, CollectionState.READY)

    def collection(self, tenant: str, name: str) -> Collection:
        """One collection of a tenant. Raises NotFoundError."""
        opened = self.opened(tenant, name)
        if opened is not None:
            return opened
        with self._changing:
            self._require_open()
            own_name = self._aliases.resolve(tenant, name)
            known = self._open.get((tenant, own_name))
            if known is None:
                known = self._opened(tenant, self._catalog.find(tenant, own_name))
            return known

    def opened(self, tenant: str, name: str) -> Collection | None:
        """The same if it is in use already, without touching the disk; else None."""
        return self._open.get((tenant, self._aliases.resolve(tenant, name)))

    def list_collections(
        self, tenant: str, *, after: str = "", limit: int = 100
    ) -> list[CollectionInfo]:
        """The first ``limit`` collections whose names come after ``after``, in order of name."""
        require(limit >= 1, "limit", "must be at least 1")
        self._require_open()
        entries = self._catalog.page(tenant, after, limit)
        infos = [self._info(tenant, entry) for entry in entries]
        return [info for info in infos if info is not None]

    def update_collection(
        self, tenant: str, name: str, change: CollectionChange, *, idempotency_key: str = ""
    ) -> CollectionInfo:
        """Change a collection's description or index configuration, all of it or nothing.

        Indexes that are not as configured are built anew in the background, and answer until
        then. With an idempotency key, the same change is made once, and another one raises
        AlreadyExistsError. Raises NotFoundError.
        """
        check_key(idempotency_key)
        asked = json.dumps({"update": name, **asdict(change)}, sort_keys=True)
        with self._changing:
            self._require_open()
            entry = self._catalog.find(tenant, self._aliases.resolve(tenant, name))
            spec = change.applied_to(entry.spec)
            check_spec(spec)
            if self._catalog.update(tenant, spec, idempotency_key, asked):
                entry = replace(entry, spec=spec)
            collection = self._open.get((tenant, spec.name))
            if collection is not None:
                collection.change(entry.spec)
        if collection is not None:
            collection.tend()
        return self._described(tenant, entry)

    def set_alias(
        self, tenant: str, alias: str, name: str, *, idempotency_key: str = ""
    ) -> tuple[CollectionInfo, str]:
        """Point an alias to a collection, atomically; the collection, and where it pointed before.

        That is "" of a new alias. Whatever takes a collection's name takes an alias of it. Raises
        NotFoundError if there is no such collection, and AlreadyExistsError if one has the
        alias's name, or if the idempotency key came with another request.
        """
        check_id(tenant, "tenant")
        check_name(alias, "alias")
        check_key(idempotency_key)
        with self._changing:
            self._require_open()
            entry = self._catalog.find(tenant, self._aliases.resolve(tenant, name))
            self._catalog.require_no_collection(tenant, alias)
            previous = self._aliases.set(tenant, alias, entry.spec.name, idempotency_key)
            entry = self._catalog.find(tenant, self._aliases.resolve(tenant, alias))
            self._name(tenant, previous, entry.spec.name)
        return self._described(tenant, entry), previous

    def delete_alias(self, tenant: str, alias: str) -> str:
        """Remove an alias; the collection that it pointed to. Raises NotFoundError."""
        with self._changing:
            self._require_open()
            name = self._aliases.remove(tenant, alias)
            self._name(tenant, name)
        return name

    def delete_collection(self, tenant: str, name: str) -> int:
        """Delete a collection with everything in it; how many live records it had.

        Raises NotFoundError, and FailedPreconditionError while an alias points to it. Reads in
        progress finish; what comes later is NotFoundError.
        """
        with self._changing:
            self._require_open()
            self._aliases.require_none(tenant, name)
            entry = self._catalog.find(tenant, name)
            self._catalog.remove(tenant, name)
            collection = self._open.pop((tenant, name), None)
        if collection is not None:
            collection.close(not_found(name))
        records = self._count_left(entry)
        # What cannot be removed now is swept when the index is opened next.
        shutil.rmtree(self._folder(entry), ignore_errors=True)
        return records

    def adopt(
        self, tenant: str, spec: CollectionSpec, fill: Callable[[Path], None], *, replacing: bool
    ) -> CollectionInfo:
        """Have a collection whose folder ``fill`` makes, on stable storage; it shows at once.

        In the place of one of that name if ``replacing``, whose reads in progress finish. Raises
        AlreadyExistsError if the name is taken otherwise, and what ``fill`` raises.
        """
        check_id(tenant, "tenant")
        check_spec(spec)
        folder = self._path / COLLECTIONS / uuid.uuid4().hex
        try:
            if not replacing:
                self._catalog.require_free(tenant, spec)
            fill(folder)
            with self._changing:
                entry = self._take_place(tenant, spec, folder.name, replacing=replacing)
        except GroundwireError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return self._described(tenant, entry)

    def purge(self) -> int:
        """Remove for good what was deleted or replaced longer ago than the retention.

        Writes do this as they go; call it now and then for the collections that are open and
        not written to. Returns how many rows were removed. Raises what one of them raised, when
        all have had their turn.
        """
        with self._changing:
            collections = list(self._open.values())
        removed, errors = 0, []
        for collection in collections:
            try:
                removed += collection.purge()
            except GroundwireError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return removed

    def _prepared(self, now: Callable[[], float]) -> Catalog:
        collections = self._path / COLLECTIONS
        with storage_errors(self._path):
            if not collections.exists():
                make_folder(collections)
            catalog = Catalog(self._path / CATALOG, self._connections, now)
            known = catalog.folders()
            for folder in collections.iterdir():
                if folder.name not in known:
                    shutil.rmtree(folder, ignore_errors=True)
        return catalog

    def _create(self, tenant: str, spec: CollectionSpec, key: str) -> Entry:
        self._catalog.require_free(tenant, spec)
        self._aliases.require_free(tenant, spec.name)
        folder = self._path / COLLECTIONS / uuid.uuid4().hex
        try:
            with storage_errors(folder):
                make_folder(folder)
                make_folder(folder / SEGMENTS)
                make_folder(folder / ANNS)
                create_collection_database(folder / DATABASE)
                sync_folder(folder)
            return self._catalog.add(tenant, folder.name, spec, key)
        except GroundwireError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _take_place(
        self, tenant: str, spec: CollectionSpec, folder: str, *, replacing: bool
    ) -> Entry:
        self._require_open()
        self._aliases.require_free(tenant, spec.name)
        if not replacing:
            return self._catalog.add(tenant, folder, spec, "")
        former = self._catalog.folder_of(tenant, spec.name)
        # Closed before the switch: no write is acknowledged that the switch would lose.
        collection = self._open.pop((tenant, spec.name), None)
        if collection is not None:
            collection.close(_replaced(spec.name))
        entry = self._catalog.replace(tenant, folder, spec)
        if former:
            # What cannot be removed now is swept when the index is opened next.
            shutil.rmtree(self._path / COLLECTIONS / former, ignore_errors=True)
        return entry

    def _opened(self, tenant: str, entry: Entry) -> Collection:
        database = self._folder(entry) / DATABASE
        if not database.exists():
            raise DataLossError(
                f"{database} is missing: restore it from a copy, or delete the collection",
                reason="FILE_MISSING",
                metadata={"file": str(database)},
            )
        with self._connections.lend(database, Role.READER) as connection:
            check_version(connection, database, VERSION)
        collection = Collection(
            self._folder(entry),
            entry.spec,
            entry.created,
            self._connections,
            self._retention,
            self._segment_bytes,
            self._indexer,
            self._field_indexing,
        )
        self._open[tenant, entry.spec.name] = collection
        self._name(tenant, entry.spec.name)
        return collection

    def _name(self, tenant: str, *names: str) -> None:
        """Tell the collections, as far as they are open, what aliases they have now."""
        for name in names:
            if collection := self._open.get((tenant, name)):
                collection.aliases = self._aliases.of(tenant, name)

    def _described(self, tenant: str, entry: Entry) -> CollectionInfo:
        info = self._info(tenant, entry)
        if info is None:
            raise not_found(entry.spec.name)
        return info

    def _info(self, tenant: str, entry: Entry) -> CollectionInfo | None:
        try:
            return self.collection(tenant, entry.spec.name).info()
        except NotFoundError:
            # It was deleted since it was listed.
            return None
        except DataLossError:
            # One that cannot be read is listed nevertheless: how else would it be deleted?
            aliases = self._aliases.of(tenant, entry.spec.name)
            return self._empty(entry, CollectionState.DAMAGED, aliases)

    def _empty(
        self, entry: Entry, state: CollectionState, aliases: tuple[str, ...] = ()
    ) -> CollectionInfo:
        folder = self._folder(entry)
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

    def _count_left(self, entry: Entry) -> int:
        database = self._folder(entry) / DATABASE
        try:
            with self._connections.lend(database, Role.READER) as connection:
                check_version(connection, database, VERSION)
                return read_state(connection).records
        except (DataLossError, FailedPreconditionError, UnavailableError):
            # A collection that cannot be read can be deleted all the same.
            return 0

    def _folder(self, entry: Entry) -> Path:
        return self._path / COLLECTIONS / entry.folder

    def _require_open(self) -> None:
        if self._closed:
            raise _closed()


def _replaced(name: str) -> UnavailableError:
    return UnavailableError(
        f'collection "{name}" has just been restored from a snapshot: retry',
        reason="COLLECTION_RESTORED",
        retry_after_s=0.1,
    )


def _closed() -> FailedPreconditionError:
    return FailedPreconditionError("the index is closed: open it again", reason="INDEX_CLOSED")
