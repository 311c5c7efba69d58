"""Every record that matches, page by page, as of the moment the scroll began."""

from __future__ import annotations

from collections.abc import Iterator

from groundwire_index.cursors import Cursor, open_cursor
from groundwire_index.errors import FailedPreconditionError
from groundwire_index.filter_sql import Sql, digest_of
from groundwire_index.records import Include, ScrollPage
from groundwire_index.snapshot import Snapshot, StoredRow
from groundwire_index.state import cursor_key

# A page ends early rather than be larger than this.
MAX_PAGE_BYTES = 8 * 2**20


def scroll_page(
    snapshot: Snapshot, where: Sql, cursor: str, limit: int, include: Include
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
    found = snapshot.rows(
        condition + where,
        include,
        table="rows r INDEXED BY places",
        order=f"ORDER BY r.place LIMIT {limit + 1}",
    )
    page = _fitting(found, limit)
    more = next(found, None) is not None
    last = page[-1].place if page else 0
    return ScrollPage(
        records=tuple(snapshot.records(page, include)),
        next_cursor=Cursor(at.sequence, last).sealed(key, digest) if more else "",
    )


def _fitting(found: Iterator[StoredRow], limit: int) -> list[StoredRow]:
    page: list[StoredRow] = []
    size = 0
    for row in found:
        page.append(row)
        size += len(row.metadata) + len(row.text or "")
        if len(page) == limit or size >= MAX_PAGE_BYTES:
            break
    return page
