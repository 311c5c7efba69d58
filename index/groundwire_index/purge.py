"""Ended rows are kept for readers that began before, and then removed for good."""

from __future__ import annotations

from dataclasses import dataclass, replace

from groundwire_index.transaction import Now, Transaction

RETENTION_S = 3600.0
_MOST_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended rows are kept."""

    now: Now
    seconds: float = RETENTION_S


def purge(transaction: Transaction, retention: Retention) -> int:
    """Remove some rows that ended long enough ago; how many, 0 when none is left.

    It keeps pace with writes: it removes at least as many rows as the transaction has ended.
    """
    expired = _expired(transaction, retention)
    if expired is None:
        return 0
    limit = max(_MOST_ROWS, 2 * len(transaction.endings))
    connection = transaction.connection
    removed = connection.execute(
        "SELECT row, died FROM rows WHERE died IS NOT NULL AND died <= ? ORDER BY died LIMIT ?",
        (expired, limit),
    ).fetchall()
    connection.executemany("DELETE FROM rows WHERE row = ?", [(row,) for row, _ in removed])
    reached = removed[-1][1] if len(removed) == limit else expired
    connection.execute("DELETE FROM endings WHERE sequence < ?", (reached,))
    if reached == expired and len(removed) < limit:
        connection.execute("DELETE FROM endings WHERE sequence = ?", (reached,))
    state = transaction.state
    transaction.state = replace(state, purged=max(state.purged, reached))
    return len(removed)


def _expired(transaction: Transaction, retention: Retention) -> int | None:
    """The last of the writes, from the first on, that ended rows long enough ago."""
    now = retention.now()
    endings = transaction.connection.execute(
        "SELECT sequence, time FROM endings ORDER BY sequence LIMIT 64"
    ).fetchall()
    if endings and endings[0][1] > now:
        # The clock was set back. What seems to end in the future is counted from now on.
        transaction.connection.execute("UPDATE endings SET time = ? WHERE time > ?", (now, now))
        return None
    expired = None
    for sequence, time in endings:
        if time > now - retention.seconds:
            break
        expired = sequence
    return expired
