"""Which collections there are: tenant and name -> folder and spec."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from groundwire_index.errors import AlreadyExistsError, NotFoundError
from groundwire_index.name_taken import name_taken
from groundwire_index.once import REMEMBERED_S, key_reused, remember, was_done
from groundwire_index.records import CollectionSpec, Fingerprint, Metric
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.databases import check_version, create_database
from groundwire_index.storage.folders import sync_folder

CATALOG = "catalog.db"
VERSION = 1

_SCHEMA = """
CREATE TABLE collections (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    folder TEXT NOT NULL UNIQUE,
    spec TEXT NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
CREATE TABLE answers (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    folder TEXT NOT NULL,
    spec TEXT NOT NULL,
    created REAL NOT NULL,
    time REAL NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One collection of the catalog."""

    folder: str
    spec: CollectionSpec
    created: datetime


class Catalog:
    """The catalog of an index folder. Thread-safe; each change is durable when it returns."""

    def __init__(self, path: Path, connections: ConnectionPool, now: Callable[[], float]) -> None:
        self._path = path
        self._connections = connections
        self._now = now
        if not path.exists():
            _create(path)
        with connections.lend(path, Role.READER) as connection:
            check_version(connection, path, VERSION)

    def find(self, tenant: str, name: str) -> Entry:
        """Raises NotFoundError."""
        with self._connections.lend(self._path, Role.READER) as connection:
            row = connection.execute(
                "SELECT folder, spec, created FROM collections WHERE tenant = ? AND name = ?",
                (tenant, name),
            ).fetchone()
        if row is None:
            raise not_found(name)
        return _entry(*row)

    def require_free(self, tenant: str, spec: CollectionSpec) -> None:
        """Raises AlreadyExistsError, with what differs, if the tenant has one of that name."""
        try:
            stored = self.find(tenant, spec.name).spec
        except NotFoundError:
            return
        raise name_taken(stored, spec)

    def require_no_collection(self, tenant: str, alias: str) -> None:
        """Raises AlreadyExistsError if the tenant has a collection of that name."""
        try:
            self.find(tenant, alias)
        except NotFoundError:
            return
        raise AlreadyExistsError(
            f'"{alias}" is a collection: choose another name for the alias',
            metadata={"resource_type": "collection", "resource_name": alias},
        )

    def page(self, tenant: str, after: str, limit: int) -> list[Entry]:
        """Collections of a tenant in order of name."""
        with self._connections.lend(self._path, Role.READER) as connection:
            rows = connection.execute(
                "SELECT folder, spec, created FROM collections WHERE tenant = ? AND name > ? "
                "ORDER BY name LIMIT ?",
                (tenant, after, limit),
            ).fetchall()
        return [_entry(*row) for row in rows]

    def entries(self) -> list[tuple[str, Entry]]:
        """All collections of all tenants, each with its tenant, in order."""
        with self._connections.lend(self._path, Role.READER) as connection:
            rows = connection.execute(
                "SELECT tenant, folder, spec, created FROM collections ORDER BY tenant, name"
            ).fetchall()
        return [(tenant, _entry(*row)) for tenant, *row in rows]

    def folder_of(self, tenant: str, name: str) -> str:
        """Folder of a collection; empty if there is none of that name."""
        try:
            return self.find(tenant, name).folder
        except NotFoundError:
            return ""

    def folders(self) -> set[str]:
        """Folders of all collections of all tenants."""
        with self._connections.lend(self._path, Role.READER) as connection:
            return {folder for (folder,) in connection.execute("SELECT folder FROM collections")}

    def answered(self, tenant: str, key: str, spec: CollectionSpec) -> Entry | None:
        """What was made when this key came first. Raises AlreadyExistsError for another spec."""
        with self._connections.lend(self._path, Role.READER) as connection:
            row = connection.execute(
                "SELECT folder, spec, created FROM answers WHERE tenant = ? AND key = ?",
                (tenant, key),
            ).fetchone()
        if row is None:
            return None
        if row[1] != _encode(spec):
            raise key_reused(key)
        return _entry(*row)

    def add(self, tenant: str, folder: str, spec: CollectionSpec, key: str) -> Entry:
        """Raises AlreadyExistsError if the name is taken."""
        now = self._now()
        row = (folder, _encode(spec), now)
        with self._connections.lend(self._path, Role.WRITER) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.execute(
                    "INSERT INTO collections (tenant, name, folder, spec, created) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (tenant, spec.name, *row),
                )
            except sqlite3.IntegrityError:
                raise name_taken(self.find(tenant, spec.name).spec, spec) from None
            connection.execute("DELETE FROM answers WHERE time < ?", (now - REMEMBERED_S,))
            if key:
                connection.execute(
                    "INSERT INTO answers (tenant, key, folder, spec, created, time) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (tenant, key, *row, now),
                )
            connection.execute("COMMIT")
        return _entry(*row)

    def replace(self, tenant: str, folder: str, spec: CollectionSpec) -> Entry:
        """Put a collection in the place of the one of its name, if there is one, in one step."""
        now = self._now()
        with self._connections.lend(self._path, Role.WRITER) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO collections (tenant, name, folder, spec, created) "
                "VALUES (?, ?, ?, ?, ?)",
                (tenant, spec.name, folder, _encode(spec), now),
            )
        return _entry(folder, _encode(spec), now)

    def update(self, tenant: str, spec: CollectionSpec, key: str, asked: str) -> bool:
        """Put a spec in the place of the one of its name; False if the key did so before."""
        with self._connections.lend(self._path, Role.WRITER) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if was_done(connection, tenant, key, asked):
                return False
            connection.execute(
                "UPDATE collections SET spec = ? WHERE tenant = ? AND name = ?",
                (_encode(spec), tenant, spec.name),
            )
            remember(connection, tenant, key, asked, self._now())
            connection.execute("COMMIT")
        return True

    def remove(self, tenant: str, name: str) -> None:
        """The name is free again."""
        with self._connections.lend(self._path, Role.WRITER) as connection:
            connection.execute(
                "DELETE FROM collections WHERE tenant = ? AND name = ?", (tenant, name)
            )


def not_found(name: str) -> NotFoundError:
    """There is no such collection."""
    return NotFoundError(
        f'there is no collection "{name}": create it first, or check the name',
        metadata={"resource_type": "collection", "resource_name": name},
    )


def _create(path: Path) -> None:
    building = path.with_suffix(".new")
    building.unlink(missing_ok=True)
    create_database(building, _SCHEMA, VERSION)
    building.replace(path)
    sync_folder(path.parent)


def _encode(spec: CollectionSpec) -> str:
    fields = asdict(spec) | {"metric": spec.metric.value}
    return json.dumps(fields, sort_keys=True, ensure_ascii=False)


def _entry(folder: str, spec: str, created: float) -> Entry:
    fields = json.loads(spec)
    fingerprint = fields["fingerprint"]
    fields["metric"] = Metric(fields["metric"])
    fields["fingerprint"] = None if fingerprint is None else Fingerprint(**fingerprint)
    return Entry(folder, CollectionSpec(**fields), datetime.fromtimestamp(created, UTC))
