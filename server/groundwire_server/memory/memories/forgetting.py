"""Forgetting: what is meant goes in one write, and a receipt says how much it was.

What is about to be removed is in the audit log before it is, and what was removed afterwards. So
a call that a crash has cut off is known, and one with an idempotency key is finished when it is
repeated: what had been found then, and is gone now, was removed by it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from groundwire_index.backend import CollectionBackend
from groundwire_index.errors import AlreadyExistsError
from groundwire_index.records import Include, Metadata

from groundwire_server.memory.memories.memory import (
    Matching,
    OfIds,
    OfSession,
    OfSubject,
    Receipt,
    Target,
)
from groundwire_server.memory.memories.partitions import Partitions
from groundwire_server.memory.memories.receipts import (
    BEGUN,
    FORGOTTEN,
    Entry,
    Found,
    Receipts,
)
from groundwire_server.memory.memories.selection import of_lineages, targeted
from groundwire_server.memory.memories.stored import LINEAGE, SESSIONS

_METADATA = Include(text=False)
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """One call."""

    tenant: str
    subject: str
    """Who calls."""
    target: Target
    key: str = ""
    """For idempotency."""

    @property
    def audit_id(self) -> str:
        """The same for the same key."""
        if not self.key:
            return uuid.uuid4().hex
        named = f"forget\0{self.tenant}\0{self.key}"
        return hashlib.sha256(named.encode()).hexdigest()[:32]


class Forgetting:
    """Forgets memories of every tenant. Blocking and thread-safe."""

    def __init__(
        self, partitions: Partitions, receipts: Receipts, clock: Callable[[], datetime]
    ) -> None:
        self._partitions = partitions
        self._receipts = receipts
        self._clock = clock

    def answered(self, asked: Asked) -> Receipt | None:
        """What a call with this key was answered, if it was; raises as `forget`."""
        known = self._known(asked)
        return None if known.forgotten is None else _receipt_of(known.forgotten)

    def sessions(self, asked: Asked) -> set[str]:
        """The sessions that what is meant came from."""
        collection = self._partitions.find(asked.tenant)
        found = set() if collection is None else _sessions(collection, asked.target)
        if isinstance(asked.target, OfSession):
            found.add(asked.target.session_id)
        return found

    def forget(self, asked: Asked, summaries: int = 0) -> Receipt:
        """Remove what is meant, with all its versions; so many summaries were removed before.

        Raises AlreadyExistsError if the key came with another target.
        """
        audit_id = asked.audit_id
        with self._partitions.turn(asked.tenant):
            known = self._known(asked)
            if known.forgotten is not None:
                return _receipt_of(known.forgotten)
            removed = self._remove(asked, audit_id, known.begun, summaries)
            receipt = self._receipts.signed(asked.tenant, audit_id, removed, self._clock())
            self._log(asked, FORGOTTEN, receipt)
        return receipt

    def _known(self, asked: Asked) -> Found:
        known = self._receipts.find(asked.audit_id) if asked.key else Found()
        for entry in (known.begun, known.forgotten):
            if entry is not None and entry["target"] != described(asked.target):
                raise _other_target(asked.key)
        return known

    def _remove(
        self, asked: Asked, audit_id: str, begun: Entry | None, summaries: int
    ) -> Mapping[str, int]:
        collection = self._partitions.find(asked.tenant)
        lineages = set() if collection is None else _lineages(collection, asked.target)
        if begun is not None and not lineages:
            return cast(Mapping[str, int], begun["found"])
        found = {"memory": len(lineages), "index_row": 0}
        if summaries:
            found["summary"] = summaries
        if collection is None or not lineages:
            self._begin(asked, audit_id, found)
            return found
        where = of_lineages(lineages)
        found["index_row"] = collection.count(where).count
        self._begin(asked, audit_id, found)
        return {**found, "index_row": collection.delete_filter(where).count}

    def _begin(self, asked: Asked, audit_id: str, found: Mapping[str, int]) -> None:
        self._receipts.append(
            BEGUN,
            audit_id,
            asked.tenant,
            subject=asked.subject,
            target=described(asked.target),
            found=found,
        )

    def _log(self, asked: Asked, event: str, receipt: Receipt) -> None:
        self._receipts.append(
            event,
            receipt.audit_id,
            asked.tenant,
            subject=asked.subject,
            target=described(asked.target),
            removed=receipt.removed,
            time=receipt.time.isoformat(),
            signature=receipt.signature.hex(),
        )


def described(target: Target) -> dict[str, Any]:
    """A target as the log has it: names and ids, no text of a memory."""
    match target:
        case OfIds(ids):
            return {"memory_ids": list(ids)}
        case OfSubject(subject):
            return {"subject": subject}
        case OfSession(session_id):
            return {"session_id": session_id}
        case Matching(subject, kinds, since, before):
            return {
                "filter": {
                    "subject": subject,
                    "kinds": sorted(kind.value for kind in kinds),
                    "created_from": since.isoformat() if since else "",
                    "created_before": before.isoformat() if before else "",
                }
            }


def _lineages(collection: CollectionBackend, target: Target) -> set[str]:
    """The memories that are meant, each by its first version."""
    return {cast(str, found[LINEAGE]) for found in _targeted(collection, target)}


def _sessions(collection: CollectionBackend, target: Target) -> set[str]:
    """The sessions that they came from."""
    return {
        session
        for found in _targeted(collection, target)
        for session in cast(list[str], found[SESSIONS])
    }


def _targeted(collection: CollectionBackend, target: Target) -> Iterator[Metadata]:
    where, cursor = targeted(target), ""
    while True:
        page = collection.newest(where, cursor=cursor, limit=_PAGE, include=_METADATA)
        yield from (record.metadata for record in page.records)
        if not (cursor := page.next_cursor):
            return


def _receipt_of(entry: Entry) -> Receipt:
    time = datetime.fromisoformat(entry["time"])
    return Receipt(entry["audit_id"], entry["removed"], time, bytes.fromhex(entry["signature"]))


def _other_target(key: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f'idempotency key "{key}" was used to forget something else: use a new key',
        reason="IDEMPOTENCY_KEY_REUSED",
    )
