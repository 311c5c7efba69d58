"""Which rows a filter lets through: by the indexes of its fields, and by reading the rest.

A filter is first bounded: by what is indexed, which rows can match at most? Where the bound
leaves no doubt, it is the answer. Where it does, the rows within it are read and tested.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from groundwire_index.field_index import (
    ANYTHING,
    NUMBER,
    PRESENT,
    TEXT,
    TRUTH,
    read_fields,
    read_rows,
)
from groundwire_index.filter_sql import CompiledFilter
from groundwire_index.filters import (
    DOCUMENT_ID,
    RECORD_ID,
    All,
    Any,
    Condition,
    Filter,
    Not,
    Operator,
    Scalar,
)
from groundwire_index.row_set import Rows, RowSet, ascending, everything, nothing
from groundwire_index.state import State

Test = tuple[str, Sequence[str | int | float | bytes]]
"""An expression over ``value``, and its parameters."""

_COMPARISONS = {
    Operator.EQ: "value = ?",
    Operator.LT: "value < ?",
    Operator.LTE: "value <= ?",
    Operator.GT: "value > ?",
    Operator.GTE: "value >= ?",
}
_IDS = "(SELECT id AS value, row FROM rows WHERE died IS NULL)"
_DOCUMENT_IDS = (
    "(SELECT document_id AS value, row FROM rows WHERE died IS NULL AND document_id <> '')"
)


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """Live rows that hold all that match."""

    rows: RowSet
    exact: bool
    """Whether they all do."""

    def __invert__(self) -> Bound:
        return Bound(~self.rows, exact=True) if self.exact else _UNKNOWN

    def __and__(self, other: Bound) -> Bound:
        return Bound(self.rows & other.rows, self.exact and other.exact)

    def __or__(self, other: Bound) -> Bound:
        return Bound(self.rows | other.rows, self.exact and other.exact)

    @property
    def known(self) -> Rows | None:
        """The rows, if these are they."""
        return self.rows.rows if self.exact and not self.rows.inverted else None


_UNKNOWN = Bound(everything(), exact=False)


def bound_of(connection: sqlite3.Connection, where: CompiledFilter) -> Bound:
    """What the indexes know of a filter, as of the connection's transaction."""
    fields = {one.path: one.number for one in read_fields(connection) if not one.missing_below}
    return _bound(connection, where.where, fields)


def rows_within(connection: sqlite3.Connection, where: CompiledFilter, bound: Bound) -> Rows:
    """The live rows that match, by a bound of the same transaction."""
    if bound.exact:
        rows = bound.rows
        return (rows & RowSet(_live(connection))).rows if rows.inverted else rows.rows
    sql = where.sql
    if bound.rows.inverted:
        return _read(connection, "rows r", f"r.died IS NULL AND {sql.text}", sql.parameters)
    listed = json.dumps(bound.rows.rows.tolist())
    table = "json_each(?) wanted CROSS JOIN rows r ON r.row = wanted.value"
    return _read(connection, table, sql.text, (listed, *sql.parameters))


def rows_since(
    connection: sqlite3.Connection, where: CompiledFilter, rows: Rows, then: State
) -> Rows:
    """The live rows that match, given those that did ``then``, before some writes.

    None of the rows that these ended may have been purged.
    """
    sql = where.sql
    new = _read(
        connection,
        "rows r",
        f"r.row >= ? AND r.died IS NULL AND {sql.text}",
        (then.next_row, *sql.parameters),
    )
    ended = _read(connection, "rows", "died > ?", (then.sequence,))
    kept = (RowSet(rows) & ~RowSet(ended)).rows if len(ended) else rows
    return np.concatenate((kept, new))


def _bound(connection: sqlite3.Connection, where: Filter, fields: Mapping[str, int]) -> Bound:
    match where:
        case All(parts):
            found = (_bound(connection, part, fields) for part in parts)
            return reduce(Bound.__and__, found, Bound(everything(), exact=True))
        case Any(parts):
            found = (_bound(connection, part, fields) for part in parts)
            return reduce(Bound.__or__, found, Bound(nothing(), exact=True))
        case Not(part):
            return ~_bound(connection, part, fields)
        case Condition(field):
            source = _source(connection, field, fields)
            return _UNKNOWN if source is None else Bound(_passing(source, where), exact=True)


class _Ids:
    """Ids of records or documents, which are all texts."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self._connection = connection
        self._table = table

    def present(self) -> RowSet:
        """Rows that have one."""
        if self._table == _IDS:
            return everything()
        return self.having(TEXT, ("1", ()))

    def having(self, kind: int, test: Test) -> RowSet:
        """Rows whose id passes a test."""
        if kind != TEXT:
            return nothing()
        condition, parameters = test
        return RowSet(_read(self._connection, self._table, condition, parameters))


class _Entries:
    """The entries of an indexed field."""

    def __init__(self, connection: sqlite3.Connection, number: int) -> None:
        self._connection = connection
        self._number = number

    def present(self) -> RowSet:
        """Rows in which the field is there and no null."""
        return self.having(PRESENT, ("value = ?", (ANYTHING,)))

    def having(self, kind: int, test: Test) -> RowSet:
        """Rows in which the value, or an element of it, is of a kind and passes a test."""
        condition, parameters = test
        return RowSet(
            read_rows(
                self._connection,
                f"field = ? AND kind = ? AND {condition}",
                (self._number, kind, *parameters),
            )
        )


def _source(
    connection: sqlite3.Connection, field: str, fields: Mapping[str, int]
) -> _Ids | _Entries | None:
    if field == RECORD_ID:
        return _Ids(connection, _IDS)
    if field == DOCUMENT_ID:
        return _Ids(connection, _DOCUMENT_IDS)
    return _Entries(connection, fields[field]) if field in fields else None


def _passing(source: _Ids | _Entries, condition: Condition) -> RowSet:
    value = condition.value
    match condition.operator:
        case Operator.EXISTS:
            return source.present() if value else ~source.present()
        case Operator.NE:
            return source.present() & ~_compared(source, Operator.EQ, value)  # type: ignore[arg-type]
        case Operator.IN:
            return _one_of(source, value)  # type: ignore[arg-type]
        case Operator.CONTAINS:
            return source.having(TEXT, ("instr(value, ?) > 0", (str(value),)))
        case Operator.PREFIX:
            prefix = str(value)
            # This byte is in no text: it comes after all that can follow the prefix.
            end = prefix.encode() + b"\xff"
            return source.having(TEXT, ("value >= ? AND value < CAST(? AS TEXT)", (prefix, end)))
        case operator:
            return _compared(source, operator, value)  # type: ignore[arg-type]


def _compared(source: _Ids | _Entries, operator: Operator, value: Scalar) -> RowSet:
    return source.having(_kind(value), (_COMPARISONS[operator], (value,)))


def _one_of(source: _Ids | _Entries, values: Sequence[Scalar]) -> RowSet:
    found = nothing()
    for kind in (TEXT, NUMBER, TRUTH):
        mine = [value for value in values if _kind(value) == kind]
        if mine:
            listed = ", ".join("?" * len(mine))
            found = found | source.having(kind, (f"value IN ({listed})", mine))
    return found


def _kind(value: Scalar) -> int:
    if isinstance(value, bool):
        return TRUTH
    return TEXT if isinstance(value, str) else NUMBER


def _live(connection: sqlite3.Connection) -> Rows:
    for field in read_fields(connection):
        if field.path == RECORD_ID and not field.missing_below:
            return _Entries(connection, field.number).present().rows
    return _read(connection, "rows r", "r.died IS NULL", ())


def _read(
    connection: sqlite3.Connection, table: str, condition: str, parameters: Sequence[object]
) -> Rows:
    """Rows of a table for which a condition is true."""
    (listed,) = connection.execute(
        f"SELECT group_concat(row) FROM {table} WHERE {condition}",  # noqa: S608
        parameters,
    ).fetchone()
    return ascending(np.fromstring(listed or "", np.int64, sep=","))
