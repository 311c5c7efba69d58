"""Which collections there are: tenant and name -> folder and spec."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundwire_index.errors import AlreadyExistsError, DataLossError, NotFoundError
from groundwire_index.name_taken import name_taken
from groundwire_index.once import Answer, find_answer, key_reused, remember, was_done
from groundwire_index.records import CollectionSpec
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.databases import check_version, create_database, is_whole
from groundwire_index.storage.failures import damaged_file, doubtful
from groundwire_index.storage.folders import sync_folder
from groundwire_index.storage.page_sums import PageSums
from groundwire_index.storage.row_sums import checked_row, row_sum
from groundwire_index.stored_spec import decode_spec, encode_spec

CATALOG = "catalog.db"
VERSION = 2

_SCHEMA = """
CREATE TABLE collections (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    folder TEXT NOT NULL,
    spec TEXT NOT NULL,
    created REAL NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
CREATE TABLE answers (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    folder TEXT NOT NULL,
    spec TEXT NOT NULL,
    created REAL NOT NULL,
    time REAL NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE TABLE aliases (
    tenant TEXT NOT NULL,
    alias TEXT NOT NULL,
    name TEXT NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (tenant, alias)
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
        with doubtful(path):
            self.damage = self._damage()
        """Why some names cannot be told, if there are any: what is not found may have been lost."""

    def find(self, tenant: str, name: str) -> Entry:
        """Raises NotFoundError."""
        with self._connections.lend(self._path, Role.READER) as connection:
            row = connection.execute(
                "SELECT * FROM collections WHERE tenant = ? AND name = ?", (tenant, name)
            ).fetchone()
            if row is None:
                raise self.damage or not_found(name)
            return _entry(row)[1]

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
        raise is_a_collection(alias)

    def page(self, tenant: str, after: str, limit: int) -> list[Entry]:
        """Collections of a tenant in order of name."""
        with self._connections.lend(self._path, Role.READER) as connection:
            rows = connection.execute(
                "SELECT * FROM collections WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?",
                (tenant, after, limit),
            )
            return [_entry(row)[1] for row in rows]

    def entries(self) -> list[tuple[str, Entry]]:
        """All collections of all tenants, each with its tenant, in order."""
        with self._connections.lend(self._path, Role.READER) as connection:
            rows = connection.execute("SELECT * FROM collections ORDER BY tenant, name")
            return [_entry(row) for row in rows]

    def tenants_with(self, name: str) -> list[str]:
        """Tenants that have a collection of this name, in order."""
        with self._connections.lend(self._path, Role.READER) as connection:
            rows = connection.execute(
                "SELECT tenant FROM collections WHERE name = ? ORDER BY tenant", (name,)
            )
            return [tenant for (tenant,) in rows]

    def folder_of(self, tenant: str, name: str) -> str:
        """Folder of a collection; empty if there is none of that name."""
        try:
            return self.find(tenant, name).folder
        except NotFoundError:
            return ""

    def folders(self) -> set[str]:
        """Folders of all collections of all tenants."""
        return {entry.folder for _, entry in self.entries()}

    def answered(self, tenant: str, key: str, spec: CollectionSpec) -> Entry | None:
        """What was made when this key came first. Raises AlreadyExistsError for another spec."""
        with self._connections.lend(self._path, Role.READER) as connection:
            answer = find_answer(connection, tenant, key)
        if answer is None:
            return None
        if answer.asked != encode_spec(spec):
            raise key_reused(key)
        return Entry(answer.folder, spec, _time(answer.created))

    def add(self, tenant: str, folder: str, spec: CollectionSpec, key: str) -> Entry:
        """Raises AlreadyExistsError if the name is taken."""
        now = self._now()
        with self._connections.lend(self._path, Role.WRITER) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                values = (tenant, spec.name, folder, encode_spec(spec), now)
                entry = _store(connection, "INSERT", values)
            except sqlite3.IntegrityError:
                raise name_taken(self.find(tenant, spec.name).spec, spec) from None
            remember(connection, tenant, key, Answer(encode_spec(spec), folder, now), now)
            connection.execute("COMMIT")
        return entry

    def replace(self, tenant: str, folder: str, spec: CollectionSpec) -> Entry:
        """Put a collection in the place of the one of its name, if there is one, in one step."""
        values = (tenant, spec.name, folder, encode_spec(spec), self._now())
        with self._connections.lend(self._path, Role.WRITER) as connection:
            return _store(connection, "INSERT OR REPLACE", values)

    def update(self, tenant: str, entry: Entry, key: str, asked: str) -> bool:
        """Put an entry in the place of the one of its name; False if the key did so before."""
        spec, created = entry.spec, entry.created.timestamp()
        with self._connections.lend(self._path, Role.WRITER) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if was_done(connection, tenant, key, asked):
                return False
            values = (tenant, spec.name, entry.folder, encode_spec(spec), created)
            _store(connection, "INSERT OR REPLACE", values)
            remember(connection, tenant, key, Answer(asked), self._now())
            connection.execute("COMMIT")
        return True

    def remove(self, tenant: str, name: str) -> None:
        """The name is free again."""
        with self._connections.lend(self._path, Role.WRITER) as connection:
            connection.execute(
                "DELETE FROM collections WHERE tenant = ? AND name = ?", (tenant, name)
            )

    def _damage(self) -> DataLossError | None:
        """Look closer if a page differs. Raises DataLossError if nothing can be trusted."""
        sums = self._connections.page_sums(self._path)
        differing = sums.differing()
        with self._connections.lend(self._path, Role.READER) as connection:
            check_version(connection, self._path, VERSION)
            if differing == []:
                return None
            found = next(damaged_entries(connection), None)
            if found is not None:
                return damaged_file(self._path, found)
            if not is_whole(connection):
                raise damaged_file(self._path, "SQLite does not find all of its rows")
        sums.renew()
        return None


def damaged_entries(connection: sqlite3.Connection) -> Iterator[str]:
    """Say which rows of a catalog are not as they were written."""
    for table in ("collections", "answers", "aliases"):
        for tenant, key, *content, expected in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 - three names
            if row_sum(tenant, key, *content) != expected:
                yield f'"{key}" of its {table} fails its checksum'


def not_found(name: str) -> NotFoundError:
    """There is no such collection."""
    return NotFoundError(
        f'there is no collection "{name}": create it first, or check the name',
        metadata={"resource_type": "collection", "resource_name": name},
    )


def is_a_collection(alias: str) -> AlreadyExistsError:
    """A collection has the name that an alias was to have."""
    return AlreadyExistsError(
        f'"{alias}" is a collection: choose another name for the alias',
        metadata={"resource_type": "collection", "resource_name": alias},
    )


def _create(path: Path) -> None:
    building = path.with_suffix(".new")
    building.unlink(missing_ok=True)
    create_database(building, _SCHEMA, VERSION)
    building.replace(path)
    PageSums(path).renew()
    sync_folder(path.parent)


def _store(connection: sqlite3.Connection, insert: str, values: tuple[Any, ...]) -> Entry:
    row = (*values, row_sum(*values))
    connection.execute(f"{insert} INTO collections VALUES (?, ?, ?, ?, ?, ?)", row)
    return _entry(row)[1]


def _entry(row: Sequence[Any]) -> tuple[str, Entry]:
    """The tenant, and the entry."""
    tenant, _, folder, spec, created = checked_row(row, f'collection "{row[1]}"')
    return tenant, Entry(folder, decode_spec(spec), _time(created))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
