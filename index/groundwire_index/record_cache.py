"""Records that were read lately, of all collections.

A row never changes, so what is remembered under its number stays true. There are two
generations: what is asked for goes into the young one. When that has half of the bytes, or at
each `turn`, it becomes the old one, and what nobody asked for in between is forgotten.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from groundwire_index.records import Include, Record

MAX_BYTES = 64 * 2**20


class Remembered(NamedTuple):
    """A record, and about how many bytes it takes."""

    record: Record
    size: int


class _Shelf(NamedTuple):
    owner: str
    include: Include


class RecordCache:
    """Records in about ``max_bytes``. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._most = max_bytes // 2
        self._lock = threading.Lock()
        self._bytes = 0
        self._young: dict[_Shelf, dict[int, Remembered]] = {}
        self._old: dict[_Shelf, dict[int, Remembered]] = {}

    def of(self, owner: str) -> CollectionRecords:
        """Those of one collection."""
        return CollectionRecords(self, owner)

    def turn(self) -> None:
        """Forget what was not asked for since the last turn."""
        with self._lock:
            self._turn()

    def get(self, owner: str, include: Include, rows: Collection[int]) -> dict[int, Record]:
        """As `CollectionRecords.get`."""
        shelf = _Shelf(owner, include)
        young, old = self._young.get(shelf, {}), self._old.get(shelf, {})
        found = {row: young[row].record for row in rows if row in young}
        if old and len(found) < len(rows):
            again = {row: old[row] for row in rows if row in old and row not in found}
            self.put(owner, include, again)
            found.update((row, one.record) for row, one in again.items())
        return found

    def put(self, owner: str, include: Include, records: Mapping[int, Remembered]) -> None:
        """As `CollectionRecords.put`; what would fill half of the bytes by itself is not kept."""
        shelf, size = _Shelf(owner, include), sum(one.size for one in records.values())
        if size > self._most:
            return
        with self._lock:
            if self._bytes + size > self._most:
                self._turn()
            young = self._young.setdefault(shelf, {})
            self._bytes += sum(one.size for row, one in records.items() if row not in young)
            young.update(records)

    def _turn(self) -> None:
        self._old, self._young, self._bytes = self._young, {}, 0


class CollectionRecords(NamedTuple):
    """The remembered records of one collection, without their vectors."""

    cache: RecordCache
    owner: str

    def get(self, include: Include, rows: Collection[int]) -> dict[int, Record]:
        """Those of the rows that are remembered with the parts that are wanted."""
        return {} if include.vector else self.cache.get(self.owner, include, rows)

    def put(self, include: Include, records: Iterable[tuple[int, Remembered]]) -> None:
        """Remember records by the numbers of their rows. Nobody may change them any more."""
        if not include.vector:
            self.cache.put(self.owner, include, dict(records))
