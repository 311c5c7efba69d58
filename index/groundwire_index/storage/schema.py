"""The tables of a collection's database, and how one is made.

``rows`` holds every version of every record: ``born`` and ``died`` are the numbers of the
writes that made and ended it, ``place`` is its record's place in order of first insertion,
``segment`` and ``slot`` say where its vector is. A row never changes but for ``died``, so
what is read under one sequence number stays what it was.

Each vector has a checksum, and each segment one of all its slots in their order: when that is
right, no vector need be looked at by itself. It is NULL where slots were passed by.

A row that cannot be made again of others ends with a checksum, ``sum``: of all its values before,
but in ``rows`` of those that never change, and in ``state`` of those up to ``purged``. Everything
else is derived: ``segments`` (from where the vectors are), ``anns``, ``blocks``, ``postings``,
``indexed_fields``, ``field_rows`` and ``endings``.
"""

from __future__ import annotations

from pathlib import Path

from groundwire_index.storage.databases import create_database
from groundwire_index.storage.row_sums import row_sum

DATABASE = "collection.db"
SEGMENTS = "segments"
ANNS = "anns"
VERSION = 5

_FIRST_STATE = (0, 1, 0, 0, 0, 0)
# The text comes last: what is read most often is then found without walking over it.
_SCHEMA = """
CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    sequence INTEGER NOT NULL,
    next_row INTEGER NOT NULL,
    records INTEGER NOT NULL,
    vectors INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    purged INTEGER NOT NULL,
    damaged INTEGER NOT NULL,
    cursor_key BLOB NOT NULL,
    sum INTEGER NOT NULL
);
INSERT INTO state VALUES (0, 0, 1, 0, 0, 0, 0, 0, randomblob(32), :sum);
CREATE TABLE segments (
    number INTEGER PRIMARY KEY,
    slots INTEGER NOT NULL,
    checksum INTEGER DEFAULT 0
);
CREATE TABLE anns (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    spans TEXT NOT NULL,
    parameters TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE rows (
    row INTEGER PRIMARY KEY,
    place INTEGER NOT NULL,
    born INTEGER NOT NULL,
    died INTEGER,
    segment INTEGER,
    slot INTEGER,
    checksum INTEGER,
    id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    position TEXT,
    metadata TEXT NOT NULL,
    sum INTEGER NOT NULL,
    text_sum INTEGER NOT NULL,
    text TEXT
);
CREATE UNIQUE INDEX live_ids ON rows (id) WHERE died IS NULL;
CREATE INDEX live_documents ON rows (document_id) WHERE died IS NULL AND document_id <> '';
CREATE INDEX places ON rows (place);
CREATE INDEX deaths ON rows (died) WHERE died IS NOT NULL;
CREATE INDEX slots ON rows (segment, slot, died, checksum) WHERE segment IS NOT NULL;
CREATE TABLE blocks (
    block INTEGER PRIMARY KEY,
    texts INTEGER NOT NULL,
    terms INTEGER NOT NULL
);
CREATE TABLE postings (
    block INTEGER NOT NULL,
    term TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (block, term)
) WITHOUT ROWID;
CREATE TABLE indexed_fields (
    number INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    missing_below INTEGER NOT NULL
);
CREATE TABLE field_rows (
    field INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    value NOT NULL,
    block INTEGER NOT NULL,
    rows BLOB NOT NULL,
    PRIMARY KEY (field, kind, value, block)
) WITHOUT ROWID;
CREATE TABLE documents (
    id TEXT PRIMARY KEY,
    filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    title TEXT NOT NULL,
    version INTEGER NOT NULL,
    content_sha256 TEXT NOT NULL,
    chunk_count INTEGER NOT NULL,
    page_count INTEGER NOT NULL,
    character_count INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    update_time REAL NOT NULL,
    recipe TEXT NOT NULL,
    sum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE endings (sequence INTEGER PRIMARY KEY, time REAL NOT NULL);
CREATE TABLE answers (
    key TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    count INTEGER NOT NULL,
    time REAL NOT NULL,
    sum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX answer_times ON answers (time);
"""


def create_collection_database(path: Path) -> None:
    """Make the empty database of a new collection; the caller syncs its folder."""
    create_database(path, _SCHEMA.replace(":sum", str(row_sum(*_FIRST_STATE))), VERSION)
