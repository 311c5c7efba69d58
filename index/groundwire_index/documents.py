"""Documents in the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from groundwire_index.checks import check_id, check_text, require
from groundwire_index.encoding import decode_metadata, encode_metadata
from groundwire_index.records import Document
from groundwire_index.storage.row_sums import checked_row, row_sum

_COLUMNS = (
    "id, filename, mime_type, title, version, content_sha256, chunk_count, page_count, "
    "character_count, metadata, update_time, recipe, sum"
)
_MAX_WORDS_BYTES = 2**16


def check_document(document: Document) -> None:
    """Refuse a document that cannot be stored."""
    check_id(document.id, "document.id")
    for name in ("filename", "mime_type", "title", "content_sha256", "recipe"):
        check_text(getattr(document, name), f"document.{name}", _MAX_WORDS_BYTES)
    for name in ("page_count", "character_count"):
        require(getattr(document, name) >= 0, f"document.{name}", "must not be negative")
    encode_metadata(document.metadata, "document.metadata")


def find_document(connection: sqlite3.Connection, document_id: str) -> Document | None:
    """A document at its current version."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM documents WHERE id = ?",  # noqa: S608 - a constant
        (document_id,),
    ).fetchone()
    return None if row is None else _document(row)


def list_documents(connection: sqlite3.Connection, after: str, limit: int) -> list[Document]:
    """Documents in order of id."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM documents WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - a constant
        (after, limit),
    )
    return [_document(row) for row in rows]


def store_document(connection: sqlite3.Connection, document: Document) -> None:
    """Store a document in place of its former version."""
    values = (
        document.id,
        document.filename,
        document.mime_type,
        document.title,
        document.version,
        document.content_sha256,
        document.chunk_count,
        document.page_count,
        document.character_count,
        encode_metadata(document.metadata, "document.metadata"),
        document.update_time.timestamp(),
        document.recipe,
    )
    connection.execute(
        f"INSERT OR REPLACE INTO documents ({_COLUMNS}) "  # noqa: S608 - a constant
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, row_sum(*values)),
    )


def remove_document(connection: sqlite3.Connection, document_id: str) -> bool:
    """Remove a document, if there is one."""
    return connection.execute("DELETE FROM documents WHERE id = ?", (document_id,)).rowcount > 0


def _document(stored: Sequence[Any]) -> Document:
    row = checked_row(stored, f'document "{stored[0]}"')
    return Document(
        id=row[0],
        filename=row[1],
        mime_type=row[2],
        title=row[3],
        version=row[4],
        content_sha256=row[5],
        chunk_count=row[6],
        page_count=row[7],
        character_count=row[8],
        metadata=decode_metadata(row[9]),
        update_time=datetime.fromtimestamp(row[10], UTC),
        recipe=row[11],
    )
