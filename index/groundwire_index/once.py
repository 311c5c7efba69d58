"""Changes of the catalog that are made once for one idempotency key."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from groundwire_index.errors import AlreadyExistsError
from groundwire_index.storage.row_sums import checked_row, row_sum

REMEMBERED_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked under a key, and what came of it."""

    asked: str
    folder: str = ""
    """Of the collection that was made, if one was."""
    created: float = 0.0


def find_answer(connection: sqlite3.Connection, tenant: str, key: str) -> Answer | None:
    """What is known of a key."""
    row = connection.execute(
        "SELECT * FROM answers WHERE tenant = ? AND key = ?", (tenant, key)
    ).fetchone()
    if row is None:
        return None
    _, _, folder, asked, created, _ = checked_row(row, f'the answer to key "{key}"')
    return Answer(asked, folder, created)


def was_done(connection: sqlite3.Connection, tenant: str, key: str, asked: str) -> bool:
    """Whether this was asked under this key before. Raises AlreadyExistsError if other was."""
    answer = find_answer(connection, tenant, key)
    if answer is not None and answer.asked != asked:
        raise key_reused(key)
    return answer is not None


def remember(
    connection: sqlite3.Connection, tenant: str, key: str, answer: Answer, now: float
) -> None:
    """Note what came of a key, if there is one, with the connection's transaction."""
    _forget(connection, now)
    if key:
        _note(connection, (tenant, key, answer.folder, answer.asked, answer.created, now))


def _forget(connection: sqlite3.Connection, now: float) -> None:
    connection.execute("DELETE FROM answers WHERE time < ?", (now - REMEMBERED_S,))
    # The clock was set back. What seems to be of the future is counted from now on.
    early = connection.execute("SELECT * FROM answers WHERE time > ?", (now,)).fetchall()
    for row in early:
        *values, _ = checked_row(row, f'the answer to key "{row[1]}"')
        _note(connection, (*values, now))


def _note(connection: sqlite3.Connection, values: tuple[object, ...]) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, row_sum(*values))
    )


def key_reused(key: str) -> AlreadyExistsError:
    """The key came with another request."""
    return AlreadyExistsError(
        f'idempotency key "{key}" was used for another request: use a new key',
        reason="IDEMPOTENCY_KEY_REUSED",
    )
