"""Checksums of rows, which are stored with them: SQLite gives out whatever it finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32


class RowDamagedError(Exception):
    """A row is not as it was written; `storage_errors` adds the file."""


def row_sum(*values: object) -> int:
    """CRC-32 of the values of a row, types included."""
    return crc32(repr(values).encode())


def checked_row(stored: Sequence[Any], what: str) -> Sequence[Any]:
    """The values of a row that ends with their sum. Raises RowDamagedError, saying ``what``."""
    *values, expected = stored
    if row_sum(*values) != expected:
        raise RowDamagedError(what)
    return values


def record_sum(
    row: int,
    place: int,
    born: int,
    checksum: int | None,
    key: str,
    document_id: str,
    position: str | None,
    metadata: str,
) -> int:
    """CRC-32 of a row of ``rows``, but for its text and what is changed later on."""
    # Searches call it for every hit.
    head = f"{row} {place} {born} {checksum} {document_id}\0{key}\0{position}\0{metadata}"
    return crc32(head.encode())


def text_sum(text: str | None) -> int:
    """CRC-32 of a row's text, which is not read with every row."""
    return crc32(f"{text}".encode())
