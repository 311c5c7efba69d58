"""What of a collection's database is not as it was written, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from groundwire_index.files import Files
from groundwire_index.segments import checksum
from groundwire_index.state import read_state
from groundwire_index.storage.row_sums import record_sum, row_sum, text_sum
from groundwire_index.storage.segment_file import StoredMatrix


def damaged_rows(connection: sqlite3.Connection) -> Iterator[str]:
    """Name the rows that fail their checksums, of records that count, documents and answers.

    Reads all of them, without any index.
    """
    connection.text_factory = _readable
    for row, key, *content, head, body, text in connection.execute(
        "SELECT row, id, place, born, checksum, document_id, position, metadata, sum, text_sum, "
        "text FROM rows NOT INDEXED WHERE died IS NULL"
    ):
        place, born, vector, document_id, position, metadata = content
        expected = record_sum(row, place, born, vector, key, document_id, position, metadata)
        if (expected, text_sum(text)) != (head, body):
            yield f'record "{key}" (row {row})'
    for table in ("documents", "answers"):
        for key, *content, expected in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 - two names
            if row_sum(key, *content) != expected:
                yield f'"{key}" of {table}'


def contradictions(connection: sqlite3.Connection, files: Files) -> Iterator[str]:
    """Say what is missing of the rows that are counted, and which do not fit their vectors."""
    connection.text_factory = _readable
    state = read_state(connection)
    records, vectors, last = connection.execute(
        "SELECT count(*), count(checksum), max(row) FROM rows NOT INDEXED WHERE died IS NULL"
    ).fetchone()
    (documents,) = connection.execute("SELECT count(*) FROM documents NOT INDEXED").fetchone()
    if (records, vectors, documents) != (state.records, state.vectors, state.documents):
        yield f"it holds {records:,} records of {state.records:,}"
    if (last or 0) >= state.next_row:
        yield f"it holds row {last}, which was never given out"
    mapped: dict[int, StoredMatrix] = {}
    for row, segment, slot, expected in connection.execute(
        "SELECT row, segment, slot, checksum FROM rows NOT INDEXED WHERE died IS NULL "
        "AND coalesce(segment, slot, checksum) IS NOT NULL"
    ):
        if segment not in mapped:
            mapped[segment] = files.segment(segment).map()
        found = mapped[segment]
        if not (isinstance(slot, int) and 0 <= slot < len(found)) or (
            checksum(found[slot].data) != expected
        ):
            yield f"row {row} does not fit its vector"


def _readable(text: bytes) -> str:
    return text.decode(errors="replace")
