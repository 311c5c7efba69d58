"""Which collections an index has, by which names, and every change to that."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from groundwire_index.aliases import Aliases
from groundwire_index.catalog import Catalog, Entry, not_found
from groundwire_index.checks import check_spec
from groundwire_index.collection import Collection
from groundwire_index.collection_folders import CollectionFolders, make_empty
from groundwire_index.description import describe_unread
from groundwire_index.errors import (
    DataLossError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
)
from groundwire_index.open_collections import OpenCollections
from groundwire_index.records import (
    CollectionChange,
    CollectionInfo,
    CollectionSpec,
    CollectionState,
)


class Directory:
    """The catalog, the aliases and the collections in use, which change together. Thread-safe.

    Changes are made one at a time; when one returns, it is durable and seen by all. `Index` says
    what each does and raises.
    """

    def __init__(
        self,
        folders: CollectionFolders,
        catalog: Catalog,
        aliases: Aliases,
        collections: OpenCollections,
    ) -> None:
        self._folders = folders
        self._catalog = catalog
        self._aliases = aliases
        self._in_use = collections
        self._turn = threading.Lock()
        self._closed = False

    def close(self) -> list[Collection]:
        """Open and change nothing any more; the collections in use, to be closed."""
        with self._turn:
            self._closed = True
            return self._in_use.take_all()

    def collection(self, tenant: str, name: str) -> Collection:
        """One collection, by its own name or another."""
        found = self.opened(tenant, name)
        if found is not None:
            return found
        with self._change():
            own_name = self._aliases.resolve(tenant, name)
            found = self._in_use.get(tenant, own_name)
            return found or self._in_use.open(tenant, self._catalog.find(tenant, own_name))

    def opened(self, tenant: str, name: str) -> Collection | None:
        """The same if it is in use already."""
        return self._in_use.get(tenant, self._aliases.resolve(tenant, name))

    def page(self, tenant: str, after: str, limit: int) -> list[CollectionInfo]:
        """Collections of a tenant in order of name."""
        self._require_open()
        found = [self._info(tenant, one) for one in self._catalog.page(tenant, after, limit)]
        return [info for info in found if info is not None]

    def tenants_with(self, name: str) -> list[str]:
        """Tenants that have a collection of this name, in order."""
        self._require_open()
        return self._catalog.tenants_with(name)

    def create(self, tenant: str, spec: CollectionSpec, key: str) -> CollectionInfo:
        """Have another, without records."""
        with self._change():
            answered = self._catalog.answered(tenant, key, spec) if key else None
            entry = answered or self._create(tenant, spec, key)
            folder = self._folders.path(entry.folder)
            return describe_unread(entry, folder, CollectionState.READY)

    def update(self, tenant: str, name: str, change: CollectionChange, key: str) -> CollectionInfo:
        """Change one."""
        asked = json.dumps({"update": name, **asdict(change)}, sort_keys=True)
        with self._change():
            entry = self._catalog.find(tenant, self._aliases.resolve(tenant, name))
            spec = change.applied_to(entry.spec)
            check_spec(spec)
            changed = replace(entry, spec=spec)
            if self._catalog.update(tenant, changed, key, asked):
                entry = changed
            collection = self._in_use.get(tenant, spec.name)
            if collection is not None:
                collection.change(entry.spec)
        if collection is not None:
            collection.upkeep.tend()
        return self._described(tenant, entry)

    def delete(self, tenant: str, name: str) -> int:
        """Have one no more; how many live records it had."""
        with self._change():
            self._aliases.require_none(tenant, name)
            entry = self._catalog.find(tenant, name)
            self._catalog.remove(tenant, name)
            collection = self._in_use.take(tenant, name)
        if collection is not None:
            collection.close(not_found(name))
        records = self._in_use.count_left(entry)
        self._folders.remove(entry.folder)
        return records

    def adopt(
        self, tenant: str, spec: CollectionSpec, fill: Callable[[Path], None], *, replacing: bool
    ) -> CollectionInfo:
        """Have one whose folder ``fill`` makes, in the place of another if ``replacing``."""
        if not replacing:
            self._catalog.require_free(tenant, spec)
        with self._folders.new() as folder:
            fill(folder)
            with self._change():
                entry = self._take_place(tenant, spec, folder.name, replacing=replacing)
        return self._described(tenant, entry)

    def set_alias(self, tenant: str, alias: str, name: str, key: str) -> tuple[CollectionInfo, str]:
        """Point an alias to a collection; that, and the name of the one before or ""."""
        with self._change():
            entry = self._catalog.find(tenant, self._aliases.resolve(tenant, name))
            self._catalog.require_no_collection(tenant, alias)
            previous = self._aliases.set(tenant, alias, entry.spec.name, key)
            entry = self._catalog.find(tenant, self._aliases.resolve(tenant, alias))
        return self._described(tenant, entry), previous

    def delete_alias(self, tenant: str, alias: str) -> str:
        """Remove an alias; the collection that it pointed to."""
        with self._change():
            return self._aliases.remove(tenant, alias)

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._turn:
            self._require_open()
            yield

    def _require_open(self) -> None:
        if self._closed:
            raise closed()

    def _create(self, tenant: str, spec: CollectionSpec, key: str) -> Entry:
        self._catalog.require_free(tenant, spec)
        self._aliases.require_free(tenant, spec.name)
        with self._folders.new() as folder:
            make_empty(folder)
            return self._catalog.add(tenant, folder.name, spec, key)

    def _take_place(
        self, tenant: str, spec: CollectionSpec, folder: str, *, replacing: bool
    ) -> Entry:
        self._aliases.require_free(tenant, spec.name)
        if not replacing:
            return self._catalog.add(tenant, folder, spec, "")
        former = self._catalog.folder_of(tenant, spec.name)
        # Closed before the switch: no write is acknowledged that the switch would lose.
        collection = self._in_use.take(tenant, spec.name)
        if collection is not None:
            collection.close(_replaced(spec.name))
        entry = self._catalog.replace(tenant, folder, spec)
        if former:
            self._folders.remove(former)
        return entry

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
            folder = self._folders.path(entry.folder)
            return describe_unread(entry, folder, CollectionState.DAMAGED, aliases)


def closed() -> FailedPreconditionError:
    """Nobody uses the index any more."""
    return FailedPreconditionError("the index is closed: open it again", reason="INDEX_CLOSED")


def _replaced(name: str) -> UnavailableError:
    return UnavailableError(
        f'collection "{name}" has just been restored from a snapshot: retry',
        reason="COLLECTION_RESTORED",
        retry_after_s=0.1,
    )
