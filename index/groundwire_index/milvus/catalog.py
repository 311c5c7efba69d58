"""Which collections there are, and their aliases: one row each, in a Milvus collection.

One server at a time uses it. A change is one upsert, and shows when that is done. A collection
is named as pending before it is made in Milvus, and when it is to be dropped there: what a crash
leaves behind is dropped when the catalog is opened next.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from groundwire_index.aliases import has_aliases, is_an_alias, no_alias
from groundwire_index.catalog import (
    Entry,
    is_a_collection,
    not_found,
)
from groundwire_index.milvus.link import MilvusLink, Row
from groundwire_index.milvus.rows import Filler
from groundwire_index.milvus.schema import BODY, DEAD, NO_RECORD, STATE
from groundwire_index.milvus.words import text_word
from groundwire_index.name_taken import name_taken
from groundwire_index.once import REMEMBERED_S, key_reused
from groundwire_index.records import CollectionSpec, Metric
from groundwire_index.stored_spec import decode_spec, encode_spec

CATALOG = "groundwire_catalog"
_SPEC = CollectionSpec("catalog", Metric.COSINE, 2, index_kind="flat")
_COLLECTION, _ALIAS, _ANSWER, _PENDING = "c", "a", "w", "p"

Named = tuple[str, str]
"""A tenant, and a name or idempotency key of it."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that is in the catalog."""

    collections: Mapping[Named, Entry]
    aliases: Mapping[Named, str]
    answers: Mapping[Named, dict[str, Any]]
    pending: frozenset[str]

    def resolve(self, tenant: str, name: str) -> str:
        """The collection's own name, which anything is that is no alias."""
        return self.aliases.get((tenant, name), name)


class MilvusCatalog:
    """Any thread may read; changes are made one at a time."""

    def __init__(self, link: MilvusLink, now: Callable[[], float]) -> None:
        self._link = link
        self._now = now
        self._filler = Filler.of(_SPEC.dimension)
        self.known: Known | None = None
        """What it is, unless that has to be read from Milvus."""
        self._writes = 0
        self._reading = threading.Lock()
        if not link.exists(CATALOG):
            link.create(CATALOG, _SPEC)
        self._sweep()

    def find(self, tenant: str, name: str) -> Entry:
        """A collection, by its own name. Raises NotFoundError."""
        entry = self._read().collections.get((tenant, name))
        if entry is None:
            raise not_found(name)
        return entry

    def page(self, tenant: str, after: str, limit: int) -> list[Entry]:
        """Collections of a tenant in order of name."""
        collections = self._read().collections
        names = sorted(name for one, name in collections if one == tenant and name > after)
        return [collections[tenant, name] for name in names[:limit]]

    def resolve(self, tenant: str, name: str) -> str:
        """The collection's own name, which anything is that is no alias."""
        return self._read().resolve(tenant, name)

    def tenants_with(self, name: str) -> list[str]:
        """Tenants that have a collection of this name, in order."""
        return sorted(tenant for tenant, one in self._read().collections if one == name)

    def aliases_of(self, tenant: str, name: str) -> tuple[str, ...]:
        """The aliases of a collection, in order."""
        pairs = self._read().aliases.items()
        return tuple(sorted(alias for (one, alias), at in pairs if (one, at) == (tenant, name)))

    def create(self, tenant: str, spec: CollectionSpec, key: str) -> Entry:
        """Make a collection, or find the one that was made when this key came first.

        Raises AlreadyExistsError if the name is taken, or for a key that came with another spec.
        """
        asked = encode_spec(spec)
        answer = self._answered(tenant, key, asked)
        if answer is not None:
            return _entry({**answer, "spec": asked})
        self._require_free(tenant, spec)
        folder, now = f"groundwire_{uuid.uuid4().hex}", self._now()
        self._write([self._row(_PENDING, folder, "", {})])
        self._link.create(folder, spec)
        made = {"folder": folder, "created": now}
        self._write(
            [
                self._row(_COLLECTION, tenant, spec.name, {"spec": asked, **made}),
                *self._answer(tenant, key, asked, made),
                self._filler.dead(_key(_PENDING, folder, "")),
            ]
        )
        return self.find(tenant, spec.name)

    def update(self, tenant: str, spec: CollectionSpec, key: str, asked: str) -> None:
        """Put a spec in the place of the one of its name, unless the key did so before."""
        if self._answered(tenant, key, asked) is not None:
            return
        entry = self.find(tenant, spec.name)
        body = {
            "spec": encode_spec(spec),
            "folder": entry.folder,
            "created": entry.created.timestamp(),
        }
        row = self._row(_COLLECTION, tenant, spec.name, body)
        self._write([row, *self._answer(tenant, key, asked, {})])

    def require_no_alias(self, tenant: str, name: str) -> Entry:
        """A collection that may go, as `remove` says."""
        own_name = self.resolve(tenant, name)
        if aliases := self.aliases_of(tenant, own_name):
            raise has_aliases(own_name, aliases)
        return self.find(tenant, name)

    def remove(self, tenant: str, name: str) -> None:
        """Forget a collection, and drop it in Milvus.

        Raises NotFoundError, and FailedPreconditionError while an alias points to it.
        """
        folder = self.require_no_alias(tenant, name).folder
        pending = self._row(_PENDING, folder, "", {})
        self._write([self._filler.dead(_key(_COLLECTION, tenant, name)), pending])
        self._drop(folder)

    def set_alias(self, tenant: str, alias: str, name: str, key: str) -> str:
        """Point an alias to a collection; where it pointed before, or "" if it is new.

        Raises NotFoundError, and AlreadyExistsError if a collection has the alias's name.
        """
        own_name = self.find(tenant, self.resolve(tenant, name)).spec.name
        if (tenant, alias) in self._read().collections:
            raise is_a_collection(alias)
        previous = self._read().aliases.get((tenant, alias), "")
        asked = json.dumps({"alias": alias, "collection": own_name})
        if self._answered(tenant, key, asked) is None:
            row = self._row(_ALIAS, tenant, alias, {"at": own_name})
            self._write([row, *self._answer(tenant, key, asked, {})])
        return previous

    def remove_alias(self, tenant: str, alias: str) -> str:
        """Forget an alias; where it pointed. Raises NotFoundError."""
        name = self._read().aliases.get((tenant, alias))
        if name is None:
            raise no_alias(alias)
        self._write([self._filler.dead(_key(_ALIAS, tenant, alias))])
        return name

    def _require_free(self, tenant: str, spec: CollectionSpec) -> None:
        taken = self._read().collections.get((tenant, spec.name))
        if taken is not None:
            raise name_taken(taken.spec, spec)
        target = self.resolve(tenant, spec.name)
        if target != spec.name:
            raise is_an_alias(spec.name, target)

    def _answered(self, tenant: str, key: str, asked: str) -> dict[str, Any] | None:
        answer = self._read().answers.get((tenant, key)) if key else None
        if answer is not None and answer["asked"] != asked:
            raise key_reused(key)
        return answer

    def _answer(self, tenant: str, key: str, asked: str, made: Mapping[str, Any]) -> Iterator[Row]:
        """The answer to remember, if there is a key, and those to forget."""
        now = self._now()
        if key:
            yield self._row(_ANSWER, tenant, key, {"asked": asked, "time": now, **made})
        for (one, other), answer in self._read().answers.items():
            if answer["time"] < now - REMEMBERED_S:
                yield self._filler.dead(_key(_ANSWER, one, other))

    def _row(self, kind: str, tenant: str, name: str, body: Mapping[str, Any]) -> Row:
        named = {"kind": kind, "tenant": tenant, "name": name}
        return self._filler.row(_key(kind, tenant, name), {**named, **body})

    def _write(self, rows: list[Row]) -> None:
        self._forget()
        try:
            self._link.upsert(CATALOG, rows)
        finally:
            # Unknown until it is read again: it may be done although the answer is lost.
            self._forget()

    def _forget(self) -> None:
        with self._reading:
            self._writes += 1
            self.known = None

    def _drop(self, folder: str) -> None:
        self._link.drop(folder)
        self._write([self._filler.dead(_key(_PENDING, folder, ""))])

    def _sweep(self) -> None:
        """Drop what a crash left pending."""
        for folder in self._read().pending:
            self._drop(folder)
        self._link.remove(CATALOG, f"{STATE} == {DEAD}")

    def _read(self) -> Known:
        known, writes = self.known, self._writes
        if known is not None:
            return known
        known = _known(self._link.in_order(CATALOG, f"{STATE} == {NO_RECORD}", (BODY,)))
        with self._reading:
            # What was read while something was written may be what was there before.
            if writes == self._writes:
                self.known = known
        return known


def _known(rows: list[Row]) -> Known:
    bodies: dict[str, dict[Named, dict[str, Any]]] = {
        kind: {} for kind in (_COLLECTION, _ALIAS, _ANSWER, _PENDING)
    }
    for row in rows:
        body = json.loads(row[BODY])
        bodies[body["kind"]][body["tenant"], body["name"]] = body
    return Known(
        collections={named: _entry(body) for named, body in bodies[_COLLECTION].items()},
        aliases={named: body["at"] for named, body in bodies[_ALIAS].items()},
        answers=bodies[_ANSWER],
        pending=frozenset(folder for folder, _ in bodies[_PENDING]),
    )


def _entry(body: Mapping[str, Any]) -> Entry:
    created = datetime.fromtimestamp(body["created"], UTC)
    return Entry(body["folder"], decode_spec(body["spec"]), created)


def _key(kind: str, tenant: str, name: str) -> str:
    return f"{kind}{text_word(tenant)}-{text_word(name)}"
