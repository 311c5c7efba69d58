"""A consistent view to read from: one SQLite transaction, and the vectors as of its write."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundwire_index.encoding import decode_metadata, decode_position
from groundwire_index.errors import DataLossError
from groundwire_index.filter_sql import Sql
from groundwire_index.published import View
from groundwire_index.records import Include, Record, Vector
from groundwire_index.segments import Files, checksum
from groundwire_index.state import State


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row as it was read."""

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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one read sees. Used by one thread, within the loan of its connection."""

    connection: sqlite3.Connection
    state: State
    view: View | None
    """None where the read compares no vectors."""
    files: Files

    def rows(
        self, condition: Sql, include: Include, order: str = "", table: str = "rows r"
    ) -> Iterator[StoredRow]:
        """Rows for which the condition on ``rows r`` is true, one by one."""
        metadata = "r.metadata" if include.metadata else "'{}'"
        text = "r.text" if include.text else "NULL"
        found = self.connection.execute(
            f"SELECT r.row, r.place, r.id, r.document_id, r.position, {metadata}, {text}, "  # noqa: S608
            f"r.segment, r.slot, r.checksum FROM {table} WHERE {condition.text} {order}",
            condition.parameters,
        )
        return (StoredRow(*row) for row in found)

    def rows_by_number(self, rows: Collection[int], include: Include) -> Mapping[int, StoredRow]:
        """Rows by their numbers."""
        among = Sql("r.row IN (SELECT value FROM json_each(?))", (json.dumps(list(rows)),))
        return {row.row: row for row in self.rows(among, include)}

    def live_rows_of(self, ids: Iterable[str], include: Include) -> Mapping[str, StoredRow]:
        """Current rows of those of the ids that there are."""
        listed = json.dumps(list(ids), ensure_ascii=False)
        wanted = Sql("r.id = wanted.value AND r.died IS NULL", (listed,))
        found = self.rows(wanted, include, table="json_each(?) wanted CROSS JOIN rows r")
        return {row.id: row for row in found}

    def ids_of(self, rows: Collection[int]) -> dict[int, str]:
        """Ids by row number."""
        return dict(
            self.connection.execute(
                "SELECT row, id FROM rows WHERE row IN (SELECT value FROM json_each(?))",
                (json.dumps(list(rows)),),
            ).fetchall()
        )

    def matching(self, where: Sql) -> NDArray[np.int64]:
        """Numbers of the live rows that match, ascending."""
        (listed,) = self.connection.execute(
            "SELECT group_concat(r.row) FROM rows r "  # noqa: S608 - values are parameters
            f"WHERE r.died IS NULL AND {where.text}",
            where.parameters,
        ).fetchone()
        return np.sort(np.array(listed.split(",") if listed else [], np.int64))

    def count(self, where: Sql) -> int:
        """How many live rows match."""
        (count,) = self.connection.execute(
            f"SELECT count(*) FROM rows r WHERE r.died IS NULL AND {where.text}",  # noqa: S608
            where.parameters,
        ).fetchone()
        return int(count)

    def records(self, rows: Sequence[StoredRow], include: Include) -> list[Record]:
        """Rows as records. Raises DataLossError for a vector that fails its checksum."""
        vectors = self._vectors(rows) if include.vector else {}
        return [
            Record(
                id=row.id,
                vector=vectors.get(row.row),
                text=row.text,
                metadata=decode_metadata(row.metadata),
                document_id=row.document_id,
                position=decode_position(row.position),
            )
            for row in rows
        ]

    def _vectors(self, rows: Sequence[StoredRow]) -> dict[int, Vector]:
        vectors: dict[int, Vector] = {}
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
                vectors[row.row] = np.frombuffer(data, "<f4").astype(np.float32, copy=False)
        return vectors
