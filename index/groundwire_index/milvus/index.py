"""All collections, in one Milvus database; see `groundwire_index.backend` for what holds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from types import TracebackType
from typing import Self

from groundwire_index.catalog import Entry, not_found
from groundwire_index.checks import check_id, check_key, check_name, require
from groundwire_index.errors import (
    FailedPreconditionError,
    GroundwireError,
    NotFoundError,
    UnsupportedError,
)
from groundwire_index.milvus.catalog import MilvusCatalog
from groundwire_index.milvus.collection import MilvusCollection
from groundwire_index.milvus.link import MilvusLink
from groundwire_index.milvus.schema import check_spec_for_milvus
from groundwire_index.milvus.unsupported import NoSnapshots
from groundwire_index.records import (
    CollectionChange,
    CollectionInfo,
    CollectionSpec,
    CollectionState,
    SearchMode,
)


class MilvusIndex:
    """Use it as a context manager, or call `close`. One at a time may use a Milvus database."""

    text_mode = SearchMode.DENSE

    def __init__(self, link: MilvusLink, *, now: Callable[[], float] = time.time) -> None:
        """See `open`."""
        self.snapshots = NoSnapshots()
        self._link = link
        self._now = now
        self._changing = threading.Lock()
        self._closed = False
        self._open: dict[tuple[str, str], MilvusCollection] = {}
        self._catalog = MilvusCatalog(link, now)

    @classmethod
    def open(cls, uri: str, token: str = "", *, now: Callable[[], float] = time.time) -> Self:
        """Connect to Milvus, or open a file with milvus-lite; see `MilvusLink`.

        ``now`` gives seconds since the epoch. What a crash left half made is dropped.
        """
        link = MilvusLink(uri, token)
        try:
            return cls(link, now=now)
        except BaseException:
            link.close()
            raise

    def close(self) -> None:
        """Finish the writes in progress and let the connection go."""
        with self._changing:
            self._closed = True
            collections = list(self._open.values())
            self._open.clear()
        for collection in collections:
            collection.close(_closed())
        self._link.close()

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
        """Create an empty collection. Raises AlreadyExistsError if the name is taken."""
        check_id(tenant, "tenant")
        check_key(idempotency_key)
        check_spec_for_milvus(spec)
        with self._changing:
            self._require_open()
            entry = self._catalog.create(tenant, spec, idempotency_key)
        return CollectionInfo(
            spec=entry.spec,
            records=0,
            vectors=0,
            documents=0,
            disk_bytes=0,
            state=CollectionState.READY,
            sequence=0,
            create_time=entry.created,
        )

    def collection(self, tenant: str, name: str) -> MilvusCollection:
        """One collection, by its name or an alias. Raises NotFoundError."""
        with self._changing:
            self._require_open()
            own_name = self._catalog.resolve(tenant, name)
            return self._opened(tenant, self._catalog.find(tenant, own_name))

    def opened(self, tenant: str, name: str) -> MilvusCollection | None:
        """The same if it is in use already, without asking Milvus; else None."""
        known = self._catalog.known
        if known is None:
            return None
        return self._open.get((tenant, known.resolve(tenant, name)))

    def tenants_with(self, name: str) -> list[str]:
        """Tenants that have a collection of this name of its own, in order."""
        with self._changing:
            self._require_open()
            return self._catalog.tenants_with(name)

    def list_collections(
        self, tenant: str, *, after: str = "", limit: int = 100
    ) -> list[CollectionInfo]:
        """The first ``limit`` collections whose names come after ``after``, in order of name."""
        require(limit >= 1, "limit", "must be at least 1")
        with self._changing:
            self._require_open()
            entries = self._catalog.page(tenant, after, limit)
            collections = [self._opened(tenant, entry) for entry in entries]
        infos = []
        for collection in collections:
            try:
                infos.append(collection.info())
            except NotFoundError:
                # It was deleted since it was listed.
                continue
        return infos

    def update_collection(
        self, tenant: str, name: str, change: CollectionChange, *, idempotency_key: str = ""
    ) -> CollectionInfo:
        """Change a collection's description; UnsupportedError for its index."""
        check_key(idempotency_key)
        asked = json.dumps({"update": name, **asdict(change)}, sort_keys=True)
        with self._changing:
            self._require_open()
            stored = self._catalog.find(tenant, self._catalog.resolve(tenant, name)).spec
            spec = change.applied_to(stored)
            check_spec_for_milvus(spec)
            _require_same_index(stored, spec)
            self._catalog.update(tenant, spec, idempotency_key, asked)
            entry = self._catalog.find(tenant, spec.name)
            collection = self._opened(tenant, entry)
            collection.spec = entry.spec
        return collection.info()

    def set_alias(
        self, tenant: str, alias: str, name: str, *, idempotency_key: str = ""
    ) -> tuple[CollectionInfo, str]:
        """Point an alias to a collection; the collection, and where it pointed before."""
        check_id(tenant, "tenant")
        check_name(alias, "alias")
        check_key(idempotency_key)
        with self._changing:
            self._require_open()
            previous = self._catalog.set_alias(tenant, alias, name, idempotency_key)
            entry = self._catalog.find(tenant, self._catalog.resolve(tenant, alias))
            collection = self._opened(tenant, entry)
        return collection.info(), previous

    def delete_alias(self, tenant: str, alias: str) -> str:
        """Remove an alias; the collection that it pointed to. Raises NotFoundError."""
        with self._changing:
            self._require_open()
            return self._catalog.remove_alias(tenant, alias)

    def delete_collection(self, tenant: str, name: str) -> int:
        """Delete a collection with everything in it; how many live records it had."""
        with self._changing:
            self._require_open()
            entry = self._catalog.require_no_alias(tenant, name)
            records = self._opened(tenant, entry).count().count
            collection = self._open.pop((tenant, name))
            # Closed before it is dropped: no write is acknowledged that the drop would lose.
            collection.close(not_found(name))
            self._catalog.remove(tenant, name)
        return records

    def purge(self) -> int:
        """Remove dead rows of the collections in use; how many.

        Raises what one of them raised, when all have had their turn.
        """
        with self._changing:
            collections = list(self._open.values())
        removed, errors = 0, []
        for collection in collections:
            try:
                removed += collection.purge()
            except NotFoundError:
                continue
            except GroundwireError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return removed

    def _opened(self, tenant: str, entry: Entry) -> MilvusCollection:
        named = (tenant, entry.spec.name)
        if named not in self._open:
            self._open[named] = MilvusCollection(
                self._link, entry, lambda: self._catalog.aliases_of(*named), self._now
            )
        return self._open[named]

    def _require_open(self) -> None:
        if self._closed:
            raise _closed()


def _require_same_index(stored: CollectionSpec, spec: CollectionSpec) -> None:
    if replace(spec, description=stored.description) != stored:
        raise UnsupportedError(
            "the index of a collection in Milvus stays as it was created: create a collection "
            "with the other index, copy the records, and switch an alias to it",
            reason="INDEX_CHANGE_UNSUPPORTED",
        )


def _closed() -> FailedPreconditionError:
    return FailedPreconditionError("the index is closed: open it again", reason="INDEX_CLOSED")
