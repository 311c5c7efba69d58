"""Forgetting: what is meant goes in one write, and a receipt says how much it was.

What is about to be removed is in the audit log before it is, and what was removed afterwards. So
a call that a crash has cut off is known, and one with an idempotency key is finished when it is
repeated: what had been found then, and is gone now, was removed by it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from groundwire_index.backend import CollectionBackend
from groundwire_index.errors import AlreadyExistsError
from groundwire_index.records import Include

from groundwire_server.memory.memories.memory import (
    Matching,
    OfIds,
    OfSession,
    OfSubject,
    Receipt,
    Target,
)
from groundwire_server.memory.memories.partitions import Partitions
from groundwire_server.memory.memories.receipts import BEGUN, FORGOTTEN, Entry, Receipts
from groundwire_server.memory.memories.selection import of_lineages, targeted
from groundwire_server.memory.memories.stored import LINEAGE

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

    def forget(self, asked: Asked) -> Receipt:
        """Remove what is meant, with all its versions.

        Raises AlreadyExistsError if the key came with another target.
        """
        audit_id, target = asked.audit_id, described(asked.target)
        with self._partitions.turn(asked.tenant):
            known = self._receipts.find(audit_id)
            for entry in (known.begun, known.forgotten):
                if entry is not None and entry["target"] != target:
                    raise _other_target(asked.key)
            if known.forgotten is not None:
                return _receipt_of(known.forgotten)
            removed = self._remove(asked, audit_id, known.begun)
            receipt = self._receipts.signed(asked.tenant, audit_id, removed, self._clock())
            self._log(asked, FORGOTTEN, receipt)
        return receipt

    def _remove(self, asked: Asked, audit_id: str, begun: Entry | None) -> Mapping[str, int]:
        collection = self._partitions.find(asked.tenant)
        lineages = set() if collection is None else _lineages(collection, asked.target)
        if begun is not None and not lineages:
            return cast(Mapping[str, int], begun["found"])
        found = {"memory": len(lineages), "index_row": 0}
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
    where, cursor = targeted(target), ""
    found: set[str] = set()
    while True:
        page = collection.newest(where, cursor=cursor, limit=_PAGE, include=_METADATA)
        found.update(cast(str, record.metadata[LINEAGE]) for record in page.records)
        if not (cursor := page.next_cursor):
            return found


def _receipt_of(entry: Entry) -> Receipt:
    time = datetime.fromisoformat(entry["time"])
    return Receipt(entry["audit_id"], entry["removed"], time, bytes.fromhex(entry["signature"]))


def _other_target(key: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f'idempotency key "{key}" was used to forget something else: use a new key',
        reason="IDEMPOTENCY_KEY_REUSED",
    )
