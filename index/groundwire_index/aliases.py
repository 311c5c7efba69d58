"""Other names of collections: tenant and alias -> the collection's own name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from groundwire_index.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    NotFoundError,
)
from groundwire_index.once import Answer, remember, was_done
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.row_sums import row_sum


class Aliases:
    """The aliases in a catalog. Each change is durable when it returns, and then seen by all.

    Any thread may read; changes are made one at a time.
    """

    def __init__(
        self, catalog: Path, connections: ConnectionPool, now: Callable[[], float]
    ) -> None:
        self._catalog = catalog
        self._connections = connections
        self._now = now
        with connections.lend(catalog, Role.READER) as connection:
            rows = connection.execute("SELECT * FROM aliases").fetchall()
        # Never changed in place: who reads it sees all of a change, or nothing.
        self._names: dict[tuple[str, str], str] = {
            # What is damaged is left out, and the catalog says so of every name it does not find.
            (tenant, alias): name
            for tenant, alias, name, expected in rows
            if row_sum(tenant, alias, name) == expected
        }

    def resolve(self, tenant: str, name: str) -> str:
        """The collection's own name, which anything is that is no alias."""
        return self._names.get((tenant, name), name)

    def of(self, tenant: str, name: str) -> tuple[str, ...]:
        """The aliases of a collection, in order."""
        pairs = self._names.items()
        return tuple(sorted(alias for (one, alias), at in pairs if (one, at) == (tenant, name)))

    def set(self, tenant: str, alias: str, name: str, key: str) -> str:
        """Point an alias to a collection; where it pointed before, or "" if it is new."""
        previous = self._names.get((tenant, alias), "")
        asked = json.dumps({"alias": alias, "collection": name})
        with self._connections.lend(self._catalog, Role.WRITER) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if was_done(connection, tenant, key, asked):
                return previous
            connection.execute(
                "INSERT OR REPLACE INTO aliases VALUES (?, ?, ?, ?)",
                (tenant, alias, name, row_sum(tenant, alias, name)),
            )
            remember(connection, tenant, key, Answer(asked), self._now())
            connection.execute("COMMIT")
        self._names = {**self._names, (tenant, alias): name}
        return previous

    def remove(self, tenant: str, alias: str) -> str:
        """Forget an alias; where it pointed. Raises NotFoundError."""
        name = self._names.get((tenant, alias))
        if name is None:
            raise no_alias(alias)
        with self._connections.lend(self._catalog, Role.WRITER) as connection:
            connection.execute(
                "DELETE FROM aliases WHERE tenant = ? AND alias = ?", (tenant, alias)
            )
        self._names = {one: at for one, at in self._names.items() if one != (tenant, alias)}
        return name

    def require_free(self, tenant: str, name: str) -> None:
        """Raise AlreadyExistsError if the name is an alias."""
        target = self.resolve(tenant, name)
        if target != name:
            raise is_an_alias(name, target)

    def require_none(self, tenant: str, name: str) -> None:
        """Raise FailedPreconditionError if the name is an alias, or has any."""
        target = self.resolve(tenant, name)
        if aliases := self.of(tenant, target):
            raise has_aliases(target, aliases)


def no_alias(alias: str) -> NotFoundError:
    """There is no such alias."""
    return NotFoundError(
        f'there is no alias "{alias}": check the name',
        metadata={"resource_type": "alias", "resource_name": alias},
    )


def is_an_alias(name: str, target: str) -> AlreadyExistsError:
    """An alias has the name that a collection was to have."""
    return AlreadyExistsError(
        f'"{name}" is an alias of collection "{target}": choose another name, or delete '
        "the alias first",
        metadata={"resource_type": "alias", "resource_name": name},
    )


def has_aliases(target: str, aliases: Sequence[str]) -> FailedPreconditionError:
    """A collection cannot go while aliases point to it."""
    return FailedPreconditionError(
        f'collection "{target}" has the alias {", ".join(aliases)}: point it to another '
        "collection or delete it first, so that no name stops answering by surprise",
        reason="COLLECTION_HAS_ALIASES",
        metadata={"collection": target, "aliases": ", ".join(aliases)},
    )
