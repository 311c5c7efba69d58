"""The collection that records go to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from groundwire import Client, Record
from groundwire.errors import InvalidArgumentError
from groundwire.requests.records import Parts, upsert
from groundwire.results.collections import VectorType

from groundwire_server.cli.transfer.batches import batches
from groundwire_server.cli.transfer.same import differences
from groundwire_server.cli.transfer.source import Placed, Refused, TransferError
from groundwire_server.cli.transfer.tally import Tally

R = TypeVar("R")

ALL: Parts = ("text", "metadata", "vector")
# What a field is that stands for a whole record, in a request that lists ids or records.
NAMES = {"ids": "id", "records": "record"}
REFUSED_RECORD = re.compile(r"(ids|records)\[(\d+)\]\.?(.*)")


@dataclass(frozen=True, slots=True)
class Target:
    """A collection by name, which need not exist yet."""

    client: Client
    name: str
    vector_type: VectorType | None = None
    """What its vectors are to be, if anything is said of that."""

    def write(self, page: Sequence[Placed], tally: Tally) -> list[Record]:
        """Store records by id, each as the page has it last; those that are stored now.

        What is there already and equal is not written again. Each call writes all or nothing:
        a record that the server refuses is counted with its reason, and the others are written.
        """
        last = {placed.record.id: placed for placed in page}
        tally.repeated += len(page) - len(last)
        return [
            placed.record
            for batch in batches(list(last.values()))
            for placed in self._write_sendable(batch, tally)
        ]

    def get(self, records: Sequence[Record]) -> tuple[Record | None, ...]:
        """What is stored under the ids of these records, in full."""
        ids = [record.id for record in records]
        return self.client.retrieve.get(self.name, ids, include=ALL)

    def _write_sendable(self, batch: Sequence[Placed], tally: Tally) -> Sequence[Placed]:
        try:
            return self._write(batch, tally)
        except (ValueError, TypeError):
            # No message can hold one of them. Finding out which costs as much as sending
            # them, so it is left until there is one.
            return self._write(_sendable(batch, tally), tally)

    def _write(self, batch: Sequence[Placed], tally: Tally) -> Sequence[Placed]:
        refused: list[Refused] = []
        batch, found = _accepted(self.get, batch, refused)
        there = {record.id: record for record in found or () if record is not None}
        same = [placed for placed in batch if _is_stored(placed.record, there)]
        ids = {placed.record.id for placed in same}
        news = [placed for placed in batch if placed.record.id not in ids]
        written, _ = _accepted(self._upsert, news, refused)
        replaced = sum(placed.record.id in there for placed in written)
        tally.count(
            added=len(written) - replaced, replaced=replaced, unchanged=len(same), refused=refused
        )
        return [*same, *written]

    def _upsert(self, records: Sequence[Record]) -> None:
        self.client.retrieve.upsert(self.name, records)


def _accepted(
    call: Callable[[Sequence[Record]], R], batch: Sequence[Placed], refused: list[Refused]
) -> tuple[list[Placed], R | None]:
    """Call with the batch, less each record that the server refuses; what is left, the answer."""
    left = list(batch)
    while left:
        try:
            return left, call([placed.record for placed in left])
        except InvalidArgumentError as error:
            number, why = _refused_record(error)
            refused.append(Refused(left.pop(number).place, why))
    return left, None


def _is_stored(record: Record, there: dict[str, Record]) -> bool:
    stored = there.get(record.id)
    return stored is not None and not any(differences(record, stored))


def _sendable(batch: Sequence[Placed], tally: Tally) -> list[Placed]:
    """Those of the batch that a message can hold; the server never sees the others."""
    able = []
    for placed in batch:
        try:
            upsert("", [placed.record])
        except (ValueError, TypeError) as error:
            tally.refuse(Refused(placed.place, _spoken(error)))
        else:
            able.append(placed)
    return able


def _spoken(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "holds text that is not valid Unicode: a lone surrogate"
    return str(error)


def _refused_record(error: InvalidArgumentError) -> tuple[int, str]:
    """Which record of a request was refused, and why. TransferError if it was not for one."""
    for violation in error.violations:
        if found := REFUSED_RECORD.fullmatch(violation.field):
            return int(found[2]), f"{found[3] or NAMES[found[1]]} {violation.description}"
    raise TransferError(error.message) from error
