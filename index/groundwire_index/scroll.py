"""Every record that matches, page by page: as of the moment the scroll began, or newest first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from groundwire_index.cursors import Cursor, open_cursor
from groundwire_index.errors import FailedPreconditionError
from groundwire_index.filter_sql import CompiledFilter, Sql, digest_of
from groundwire_index.records import Include, ScrollPage
from groundwire_index.snapshot import Snapshot, StoredRow
from groundwire_index.state import cursor_key

# A page ends early rather than be larger than this.
MAX_PAGE_BYTES = 8 * 2**20
# So many rows are sooner read and put in order than found on the way through all.
_FEW = 5000
_BY_PLACE = "rows r INDEXED BY places"
_LISTED = "json_each(?) listed CROSS JOIN rows r ON r.row = listed.value"


def scroll_page(
    snapshot: Snapshot, where: CompiledFilter, cursor: str, limit: int, include: Include
) -> ScrollPage:
    """One page of at most ``limit`` records, in order of first insertion."""
    key, digest = cursor_key(snapshot.connection), digest_of(where)
    at = open_cursor(cursor, key, digest) if cursor else Cursor(snapshot.state.sequence, 0)
    if at.sequence < snapshot.state.purged:
        raise FailedPreconditionError(
            "what this scroll began with is no longer kept: start again without a cursor",
            reason="CURSOR_EXPIRED",
        )
    condition = Sql(
        "r.place > ? AND r.born <= ? AND (r.died IS NULL OR r.died > ?) AND ",
        (at.place, at.sequence, at.sequence),
    )
    listed = _listed(snapshot, where, at.sequence)
    found = snapshot.rows(
        (listed or Sql("")) + condition + where.sql,
        include,
        table=_BY_PLACE if listed is None else _LISTED,
        order=f"ORDER BY r.place LIMIT {limit + 1}",
    )
    page = _fitting(found, limit)
    more = next(found, None) is not None
    last = page[-1].place if page else 0
    return ScrollPage(
        records=tuple(snapshot.records(page, include)),
        next_cursor=Cursor(at.sequence, last).sealed(key, digest) if more else "",
    )


def newest_page(
    snapshot: Snapshot, where: CompiledFilter, cursor: str, limit: int, include: Include
) -> ScrollPage:
    """One page of at most ``limit`` live records, the last inserted first."""
    # Not a cursor of a scroll, which goes the other way.
    key, digest = (
        cursor_key(snapshot.connection),
        hashlib.sha256(b"newest" + digest_of(where)).digest(),
    )
    at = open_cursor(cursor, key, digest) if cursor else Cursor(0, snapshot.state.next_row)
    listed = _listed(snapshot, where, snapshot.state.sequence)
    found = snapshot.rows(
        (listed or Sql("")) + Sql("r.place < ? AND r.died IS NULL AND ", (at.place,)) + where.sql,
        include,
        table=_BY_PLACE if listed is None else _LISTED,
        order=f"ORDER BY r.place DESC LIMIT {limit + 1}",
    )
    page = _fitting(found, limit)
    more = next(found, None) is not None
    return ScrollPage(
        records=tuple(snapshot.records(page, include)),
        next_cursor=Cursor(0, page[-1].place).sealed(key, digest) if more else "",
    )


def _listed(snapshot: Snapshot, where: CompiledFilter, sequence: int) -> Sql | None:
    """The rows that may match as of a write, as a parameter; None if they are many."""
    rows = snapshot.bound(where).rows
    if rows.inverted or len(rows.rows) > _FEW:
        return None
    ended = snapshot.connection.execute(
        "SELECT row FROM rows WHERE died > ? LIMIT ?", (sequence, _FEW + 1)
    ).fetchall()
    if len(ended) > _FEW:
        return None
    return Sql("", (json.dumps(rows.rows.tolist() + [row for (row,) in ended]),))


def _fitting(found: Iterator[StoredRow], limit: int) -> list[StoredRow]:
    page: list[StoredRow] = []
    size = 0
    for row in found:
        page.append(row)
        size += len(row.metadata) + len(row.text or "")
        if len(page) == limit or size >= MAX_PAGE_BYTES:
            break
    return page
