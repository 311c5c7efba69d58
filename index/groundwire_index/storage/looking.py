"""Reading a database that another process may be in charge of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from groundwire_index.storage.failures import storage_errors

_BUSY_TIMEOUT_S = 10.0


@contextmanager
def looking(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads what is committed, and changes nothing.

    Not even at its end, when another one would write the log to its place: whoever is in charge
    keeps the checksums of what is written there. What goes wrong comes out as a domain error.
    """
    uri = f"file:{quote(str(path))}?mode=ro"
    with (
        storage_errors(path),
        closing(
            sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        ) as connection,
    ):
        yield connection
