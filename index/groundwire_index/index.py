"""A folder of collections, held by one process at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from groundwire_index.aliases import Aliases
from groundwire_index.backup.snapshots import Snapshots
from groundwire_index.backup.store import SnapshotStore
from groundwire_index.catalog import CATALOG, Catalog
from groundwire_index.checks import check_gpu, check_id, check_key, check_name, check_spec, require
from groundwire_index.collection import Collection
from groundwire_index.collection_folders import CollectionFolders
from groundwire_index.directory import Directory, closed
from groundwire_index.field_indexer import FROM_RECORDS
from groundwire_index.files import SEGMENT_BYTES
from groundwire_index.gpu import Gpus, NoGpus
from groundwire_index.open_collections import OpenCollections
from groundwire_index.purge import RETENTION_S, Retention
from groundwire_index.record_cache import MAX_BYTES, RecordCache
from groundwire_index.records import (
    CollectionChange,
    CollectionInfo,
    CollectionSpec,
    SearchMode,
)
from groundwire_index.storage.connections import ConnectionPool
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.lock import FolderLock
from groundwire_index.upkeep import Background


class Index:
    """All collections of all tenants, in one folder. All methods block and are thread-safe.

    Use it as a context manager, or call `close`. One process at a time may have a folder open.
    """

    text_mode = SearchMode.HYBRID

    def __init__(
        self,
        path: Path,
        lock: FolderLock,
        retention: Retention,
        segment_bytes: int,
        background: Background,
        recent: RecordCache,
        gpus: Gpus,
    ) -> None:
        """See `open`."""
        self._lock = lock
        self._background = background
        self._gpus = gpus
        self._connections = ConnectionPool()
        self._recent = recent
        catalog = Catalog(path / CATALOG, self._connections, retention.now)
        folders = CollectionFolders(path)
        folders.prepare(None if catalog.damage else catalog.folders())
        aliases = Aliases(path / CATALOG, self._connections, retention.now)
        self._in_use = OpenCollections(
            folders,
            aliases,
            self._connections,
            retention,
            segment_bytes,
            background,
            gpus,
            self._recent,
        )
        self._directory = Directory(folders, catalog, aliases, self._in_use)
        self.snapshots = Snapshots(SnapshotStore(path, retention.now), self)

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
        record_cache_bytes: int = MAX_BYTES,
        gpus: Gpus | None = None,
    ) -> Self:
        """Open a folder, which is made if it is not there.

        ``now`` gives seconds since the epoch. Deleted and replaced records are kept
        ``retention_s`` seconds for scrolls that began before. Vectors lie in files of at most
        ``segment_bytes``. Fields that filters compare are indexed once a collection has
        ``index_fields_from`` records. Indexes are built in threads of their own, unless
        ``background`` is false: then by `Collection.upkeep` alone. Records that were read lately
        are kept in about ``record_cache_bytes`` of memory. What GPUs can do, ``gpus`` do,
        which are closed with the index. Raises FailedPreconditionError, naming the holder, if the
        folder is open already, and UnavailableError if it cannot be written to.
        """
        with storage_errors(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FolderLock(path)
        start = Background.start if background else Background.idle
        try:
            return cls(
                path,
                lock,
                Retention(now, retention_s),
                segment_bytes,
                start(index_fields_from),
                RecordCache(record_cache_bytes),
                gpus or NoGpus(),
            )
        except BaseException:
            lock.close()
            raise

    def close(self) -> None:
        """Finish the writes in progress and let the folder go."""
        collections = self._directory.close()
        self._background.close()
        for collection in collections:
            collection.close(closed())
        self._gpus.close()
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

    # --- collections ---

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
        check_gpu(spec.index_kind, self._gpus.why_none)
        return self._directory.create(tenant, spec, idempotency_key)

    def collection(self, tenant: str, name: str) -> Collection:
        """One collection of a tenant. Raises NotFoundError."""
        return self._directory.collection(tenant, name)

    def opened(self, tenant: str, name: str) -> Collection | None:
        """The same if it is in use already, without touching the disk; else None."""
        return self._directory.opened(tenant, name)

    def list_collections(
        self, tenant: str, *, after: str = "", limit: int = 100
    ) -> list[CollectionInfo]:
        """The first ``limit`` collections whose names come after ``after``, in order of name."""
        require(limit >= 1, "limit", "must be at least 1")
        return self._directory.page(tenant, after, limit)

    def tenants_with(self, name: str) -> list[str]:
        """Tenants that have a collection of this name of its own, in order."""
        return self._directory.tenants_with(name)

    def update_collection(
        self, tenant: str, name: str, change: CollectionChange, *, idempotency_key: str = ""
    ) -> CollectionInfo:
        """Change a collection's description or index configuration, all of it or nothing.

        Indexes that are not as configured are built anew in the background, and answer until
        then. With an idempotency key, the same change is made once, and another one raises
        AlreadyExistsError. Raises NotFoundError.
        """
        check_key(idempotency_key)
        check_gpu(change.index_kind, self._gpus.why_none)
        return self._directory.update(tenant, name, change, idempotency_key)

    def delete_collection(self, tenant: str, name: str) -> int:
        """Delete a collection with everything in it; how many live records it had.

        Raises NotFoundError, and FailedPreconditionError while an alias points to it. Reads in
        progress finish; what comes later is NotFoundError.
        """
        return self._directory.delete(tenant, name)

    def adopt(
        self, tenant: str, spec: CollectionSpec, fill: Callable[[Path], None], *, replacing: bool
    ) -> CollectionInfo:
        """Have a collection whose folder ``fill`` makes, on stable storage; it shows at once.

        In the place of one of that name if ``replacing``, whose reads in progress finish. Raises
        AlreadyExistsError if the name is taken otherwise, and what ``fill`` raises.
        """
        check_id(tenant, "tenant")
        check_spec(spec)
        return self._directory.adopt(tenant, spec, fill, replacing=replacing)

    def purge(self) -> int:
        """Remove for good what was deleted or replaced longer ago than the retention.

        Writes do this as they go; call it now and then for the collections that are open and
        not written to. What was read and not asked for since the last call is let go from memory.
        Returns how many rows were removed. Raises what one of them raised, when all have had
        their turn.
        """
        self._recent.turn()
        return self._in_use.purge()

    # --- aliases ---

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
        return self._directory.set_alias(tenant, alias, name, idempotency_key)

    def delete_alias(self, tenant: str, alias: str) -> str:
        """Remove an alias; the collection that it pointed to. Raises NotFoundError."""
        return self._directory.delete_alias(tenant, alias)
