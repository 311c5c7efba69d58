"""A consistent view to read from: one SQLite transaction, and the vectors as of its write."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import NamedTuple

import numpy as np

from groundwire_index.encoding import decode_metadata, decode_position
from groundwire_index.errors import DataLossError
from groundwire_index.files import Files
from groundwire_index.filter_sql import CompiledFilter, Sql
from groundwire_index.half import widened
from groundwire_index.match_cache import MatchCache, Matched
from groundwire_index.matching import Bound, bound_of, rows_since, rows_within
from groundwire_index.published import View
from groundwire_index.record_cache import CollectionRecords, Remembered
from groundwire_index.records import Include, Record, Vector
from groundwire_index.row_set import Rows, RowSet
from groundwire_index.segments import checksum
from groundwire_index.state import State
from groundwire_index.storage.row_sums import RowDamagedError, record_sum, text_sum

# As many rows as are read as quickly as the index of a field.
_FEW_NEW_ROWS = 4096
# Of the objects that a record is made of, besides its text.
_RECORD_BYTES = 800
# Of the objects that its metadata is made of, for each character as JSON.
_METADATA_FACTOR = 5


class StoredRow(NamedTuple):
    """One row as it was read; a tuple, because searches make many."""

    row: int
    place: int
    id: str
    document_id: str
    position: str | None
    metadata: str
    text: str | None
    segment: int | None
    slot: int | None
    checksum: int | None
    born: int
    sum: int
    text_sum: int

    @property
    def size(self) -> int:
        """About how many bytes it takes as a record: mostly a little less."""
        text = 0 if self.text is None else getsizeof(self.text)
        return _RECORD_BYTES + text + _METADATA_FACTOR * len(self.metadata)

    def is_sound(self, include: Include) -> bool:
        """Whether what was read of it is what was written."""
        return self.sum == record_sum(
            self.row,
            self.place,
            self.born,
            self.checksum,
            self.id,
            self.document_id,
            self.position,
            self.metadata,
        ) and (not include.text or self.text_sum == text_sum(self.text))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one read sees. Used by one thread, within the loan of its connection.

    Mostly a transaction holds it together. Without one, it is good for its vectors and for rows
    by number alone: those never change, and are purged long after their end.
    """

    connection: sqlite3.Connection
    state: State
    view: View | None
    """None where the read compares no vectors."""
    files: Files
    matches: MatchCache
    recent: CollectionRecords

    def rows(
        self, condition: Sql, include: Include, order: str = "", table: str = "rows r"
    ) -> Iterator[StoredRow]:
        """Rows for which the condition on ``rows r`` is true, one by one."""
        text = "r.text" if include.text else "NULL"
        found = self.connection.execute(
            f"SELECT r.row, r.place, r.id, r.document_id, r.position, r.metadata, {text}, "  # noqa: S608
            "r.segment, r.slot, r.checksum, r.born, r.sum, r.text_sum "
            f"FROM {table} WHERE {condition.text} {order}",
            condition.parameters,
        )
        return map(StoredRow._make, found)

    def records_of(self, rows: Collection[int], include: Include) -> dict[int, Record]:
        """Records by the numbers of their rows."""
        found = self.recent.get(include, rows)
        if len(found) < len(rows):
            found |= self._read([row for row in rows if row not in found], include)
        return found

    def _read(self, rows: Sequence[int], include: Include) -> dict[int, Record]:
        among = Sql("r.row IN (SELECT value FROM json_each(?))", (json.dumps(rows),))
        found = list(self.rows(among, include))
        pairs = list(zip(found, self.records(found, include), strict=True))
        by_number = {row.row: record for row, record in pairs}
        _require_all(rows, by_number)
        self.recent.put(include, ((row.row, Remembered(one, row.size)) for row, one in pairs))
        return by_number

    def live_rows_of(self, ids: Iterable[str], include: Include) -> Mapping[str, StoredRow]:
        """Current rows of those of the ids that there are."""
        listed = json.dumps(list(ids), ensure_ascii=False)
        wanted = Sql("r.id = wanted.value AND r.died IS NULL", (listed,))
        found = self.rows(wanted, include, table="json_each(?) wanted CROSS JOIN rows r")
        return {row.id: row for row in found}

    def ids_of(self, rows: Collection[int]) -> dict[int, str]:
        """Ids by row number."""
        found = dict(
            self.connection.execute(
                "SELECT row, id FROM rows WHERE row IN (SELECT value FROM json_each(?))",
                (json.dumps(list(rows)),),
            ).fetchall()
        )
        _require_all(rows, found)
        return found

    def bound(self, where: CompiledFilter) -> Bound:
        """What is known without reading many rows of the live ones that match."""
        known = self.matches.get(where)
        if known is not None and known.state.sequence == self.state.sequence:
            return known.bound
        bound = None if known is None else self._carried(where, known)
        return self._remembered(where, bound or bound_of(self.connection, where))

    def matching(self, where: CompiledFilter) -> Rows:
        """Numbers of the live rows that match."""
        bound = self.bound(where)
        rows = bound.known
        if rows is None:
            rows = rows_within(self.connection, where, bound)
            self._remembered(where, Bound(RowSet(rows), exact=True))
        return rows

    def _carried(self, where: CompiledFilter, known: Matched) -> Bound | None:
        """What was known before some writes, and what these changed; None if that was much."""
        then, now, rows = known.state, self.state, known.bound.known
        # What a later state knows is of no use, and what has been purged cannot be told apart.
        if rows is None or not now.purged <= then.sequence < now.sequence:
            return None
        if now.next_row - then.next_row > _FEW_NEW_ROWS:
            return None
        return Bound(RowSet(rows_since(self.connection, where, rows, then)), exact=True)

    def _remembered(self, where: CompiledFilter, bound: Bound) -> Bound:
        self.matches.put(where, Matched(self.state, bound))
        return bound

    def records(self, rows: Sequence[StoredRow], include: Include) -> list[Record]:
        """Rows as records. Raises DataLossError for a row or vector that fails its checksum."""
        for row in rows:
            if not row.is_sound(include):
                raise RowDamagedError(f'record "{row.id}" (row {row.row})')
        vectors = self._vectors(rows) if include.vector else {}
        return [
            Record(
                id=row.id,
                vector=vectors.get(row.row),
                text=row.text,
                metadata=decode_metadata(row.metadata) if include.metadata else {},
                document_id=row.document_id,
                position=decode_position(row.position),
            )
            for row in rows
        ]

    def _vectors(self, rows: Sequence[StoredRow]) -> dict[int, Vector]:
        vectors: dict[int, Vector] = {}
        dtype = self.files.vector_type.dtype
        for number in {row.segment for row in rows if row.segment is not None}:
            mine = [row for row in rows if row.segment == number]
            file = self.files.segment(number)
            read = file.read([row.slot for row in mine if row.slot is not None])
            for row, data in zip(mine, read, strict=True):
                if checksum(data) != row.checksum:
                    raise DataLossError(
                        f'{file.path} is damaged: the vector of record "{row.id}" fails its '
                        "checksum. Restore the collection from a copy",
                        reason="VECTORS_DAMAGED",
                        metadata={"file": str(file.path), "record": row.id},
                    )
                vectors[row.row] = widened(np.frombuffer(data, dtype))
        return vectors


def _require_all(rows: Collection[int], found: Collection[int]) -> None:
    if len(found) < len(rows):
        missing = next(row for row in rows if row not in found)
        raise RowDamagedError(f"row {missing}, which is not found,")
