"""Every record that matches, page by page: for as long as nothing is written, or newest first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from groundwire_index.cursors import Cursor, open_cursor
from groundwire_index.errors import FailedPreconditionError
from groundwire_index.milvus.draft import Head
from groundwire_index.milvus.link import MilvusLink
from groundwire_index.milvus.rows import fields_of, record_of
from groundwire_index.milvus.schema import BODY, KEY, MAX_ROWS, PLACE, RECORDS, TEXT
from groundwire_index.records import Include, Record, ScrollPage
from groundwire_index.scroll import MAX_PAGE_BYTES

# Places looked at together grow so much where few records match.
_GROWTH = 4


def scroll_page(
    link: MilvusLink,
    name: str,
    head: Head,
    where: str,
    cursor: str,
    limit: int,
    include: Include,
) -> ScrollPage:
    """One page of at most ``limit`` records, in order of first insertion.

    Raises FailedPreconditionError if there was a write since the first page: Milvus shows no
    former states.
    """
    key, digest = name.encode(), hashlib.sha256(where.encode()).digest()
    at = open_cursor(cursor, key, digest) if cursor else Cursor(head.sequence, 0)
    if at.sequence != head.sequence:
        raise FailedPreconditionError(
            "the collection was written to since this scroll began, and the index in Milvus "
            "shows no former states: start again without a cursor",
            reason="CURSOR_EXPIRED",
        )
    places = _places(link, name, where, at.place, head.places, limit + 1)
    records = _read(link, name, [key for _, key in places[:limit]], include)
    if len(places) == len(records):
        return ScrollPage(records, "")
    next_at = Cursor(at.sequence, places[len(records) - 1][0])
    return ScrollPage(records, next_at.sealed(key, digest))


def newest_page(
    link: MilvusLink,
    name: str,
    head: Head,
    where: str,
    cursor: str,
    limit: int,
    include: Include,
) -> ScrollPage:
    """One page of at most ``limit`` records, the last inserted first."""
    # Not a cursor of a scroll, which goes the other way.
    key, digest = name.encode(), hashlib.sha256(b"newest" + where.encode()).digest()
    at = open_cursor(cursor, key, digest) if cursor else Cursor(0, head.places + 1)
    places = _places_before(link, name, where, at.place, limit + 1)
    records = _read(link, name, [key for _, key in places[:limit]], include)
    if len(places) == len(records):
        return ScrollPage(records, "")
    return ScrollPage(records, Cursor(0, places[len(records) - 1][0]).sealed(key, digest))


def _places_before(
    link: MilvusLink, name: str, where: str, before: int, wanted: int
) -> list[tuple[int, str]]:
    """The last so many records that match before a place, from the last: place and key."""
    found: list[tuple[int, str]] = []
    size = wanted
    while before > 1 and len(found) < wanted:
        after = max(0, before - 1 - size)
        within = f"{RECORDS} and {PLACE} > {after} and {PLACE} < {before} and {where}"
        rows = link.select(name, within, (PLACE,))
        found += sorted(((row[PLACE], row[KEY]) for row in rows), reverse=True)
        before, size = after + 1, min(size * _GROWTH, MAX_ROWS)
    return found[:wanted]


def _places(
    link: MilvusLink, name: str, where: str, after: int, last: int, wanted: int
) -> list[tuple[int, str]]:
    """The first so many records that match after a place, in order: place and key."""
    found: list[tuple[int, str]] = []
    size = wanted
    while after < last and len(found) < wanted:
        until = min(after + size, last)
        within = f"{RECORDS} and {PLACE} > {after} and {PLACE} <= {until} and {where}"
        rows = link.select(name, within, (PLACE,))
        found += sorted((row[PLACE], row[KEY]) for row in rows)
        after, size = until, min(size * _GROWTH, MAX_ROWS)
    return found[:wanted]


def _read(link: MilvusLink, name: str, keys: Sequence[str], include: Include) -> tuple[Record, ...]:
    """The records of these keys, as many as make a page."""
    rows = link.rows(name, keys, fields_of(include))
    records: list[Record] = []
    size = 0
    for key in keys:
        row = rows[key]
        records.append(record_of(row, include))
        size += len(row.get(BODY) or "") + len(row.get(TEXT) or "")
        if size >= MAX_PAGE_BYTES:
            break
    return tuple(records)
