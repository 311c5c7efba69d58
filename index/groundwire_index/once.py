"""Changes of the catalog that are made once for one idempotency key."""

from __future__ import annotations

import sqlite3

from groundwire_index.errors import AlreadyExistsError

REMEMBERED_S = 24 * 3600.0


def was_done(connection: sqlite3.Connection, tenant: str, key: str, asked: str) -> bool:
    """Whether this was asked under this key before. Raises AlreadyExistsError if other was."""
    row = connection.execute(
        "SELECT spec FROM answers WHERE tenant = ? AND key = ?", (tenant, key)
    ).fetchone()
    if row is not None and row[0] != asked:
        raise key_reused(key)
    return row is not None


def remember(connection: sqlite3.Connection, tenant: str, key: str, asked: str, now: float) -> None:
    """Note what was asked under a key, if there is one, with the connection's transaction."""
    connection.execute("DELETE FROM answers WHERE time < ?", (now - REMEMBERED_S,))
    if key:
        connection.execute(
            "INSERT INTO answers (tenant, key, folder, spec, created, time) "
            "VALUES (?, ?, '', ?, 0, ?)",
            (tenant, key, asked, now),
        )


def key_reused(key: str) -> AlreadyExistsError:
    """The key came with another request."""
    return AlreadyExistsError(
        f'idempotency key "{key}" was used for another request: use a new key',
        reason="IDEMPOTENCY_KEY_REUSED",
    )
