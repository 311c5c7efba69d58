"""SQLite connections, few of which stay open however many collections there are."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.page_sums import PageSums

MAX_IDLE = 32
_BUSY_TIMEOUT_S = 10.0
# How long readers wait for a gap between them, and each other, where the log has become long.
_GAP_S = 0.25
_MAX_LOG_BYTES = 32 * 2**20


class Role(Enum):
    """What a connection is for."""

    READER = (
        "PRAGMA query_only = ON",
        "PRAGMA temp_store = MEMORY",
    )
    WRITER = (
        "PRAGMA synchronous = FULL",
        # What was purged is overwritten, not only forgotten.
        "PRAGMA secure_delete = ON",
        "PRAGMA temp_store = MEMORY",
        f"PRAGMA journal_size_limit = {_MAX_LOG_BYTES}",
        # The log goes to its place when the checksums of pages can follow.
        "PRAGMA wal_autocheckpoint = 0",
    )


_Key = tuple[Path, Role]


class ConnectionPool:
    """Lends connections; keeps at most ``max_idle`` open that nobody uses. Thread-safe.

    A connection is lent to one thread at a time. One that failed is closed, not kept.
    """

    def __init__(self, max_idle: int = MAX_IDLE) -> None:
        self._max_idle = max_idle
        self._lock = threading.Lock()
        self._returned = threading.Condition(self._lock)
        self._lent: Counter[Path] = Counter()
        self._idle: OrderedDict[sqlite3.Connection, _Key] = OrderedDict()
        self._retired: set[Path] = set()
        self._closed_to_others: set[Path] = set()
        self._sums: dict[Path, PageSums] = {}
        self._closed = False

    @contextmanager
    def lend(self, path: Path, role: Role) -> Iterator[sqlite3.Connection]:
        """A connection to the database at ``path``, outside any transaction.

        What goes wrong with the database comes out as a domain error, and a transaction that
        is still open at the end is rolled back.
        """
        with storage_errors(path), self._counted(path):
            connection = self._take((path, role)) or connect(path, role)
            sound = False
            try:
                if role is Role.WRITER:
                    self.page_sums(path).begin(connection)
                yield connection
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                sound = True
            finally:
                if role is Role.WRITER:
                    self._follow(path, connection)
                self._give_back(connection, (path, role), sound=sound)

    def retire(self, path: Path) -> None:
        """Close all connections to ``path``; waits for those that are lent to come back."""
        with self._lock:
            self._retired.add(path)
            self._returned.wait_for(lambda: not self._lent[path])
            leaving = [one for one, (held, _) in self._idle.items() if held == path]
            for connection in leaving:
                del self._idle[connection]
            del self._lent[path]
        for connection in leaving:
            self._close(connection, path)
        self._sums.pop(path, None)

    def close(self) -> None:
        """Close the idle connections now, and lent ones when they come back."""
        with self._lock:
            self._closed = True
            leaving = [(connection, path) for connection, (path, _) in self._idle.items()]
            self._idle.clear()
        for connection, path in leaving:
            self._close(connection, path)

    def page_sums(self, path: Path) -> PageSums:
        """The checksums of the database at ``path``, which follow what is written here."""
        return self._sums.setdefault(path, PageSums(path))

    def empty_log(self, path: Path) -> bool:
        """Leave nothing of former pages in the log of ``path``; whether that could be done.

        Nobody writes meanwhile, and readers have a moment to let go of it.
        """
        with self.lend(path, Role.WRITER) as connection, self._alone(path):
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                return self.page_sums(path).empty_log(connection)
            finally:
                connection.execute(f"PRAGMA busy_timeout = {round(1000 * _BUSY_TIMEOUT_S)}")

    def _follow(self, path: Path, writer: sqlite3.Connection) -> None:
        sums = self.page_sums(path)
        sums.follow(writer)
        if sums.log_is_long():
            # Readers that overlap keep the log from its place for ever: let there be a gap.
            with self._alone(path):
                sums.follow(writer, frames=0)

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        """Nobody else gets a connection to ``path``, and who has one has a moment to finish."""
        with self._lock:
            self._closed_to_others.add(path)
            self._returned.wait_for(lambda: self._lent[path] == 1, _GAP_S)
        try:
            yield
        finally:
            with self._lock:
                self._closed_to_others.discard(path)
                self._returned.notify_all()

    @contextmanager
    def _counted(self, path: Path) -> Iterator[None]:
        with self._lock:
            # Who has one already, and needs another one, is not kept waiting for long either.
            self._returned.wait_for(lambda: path not in self._closed_to_others, 2 * _GAP_S)
            self._lent[path] += 1
        try:
            yield
        finally:
            with self._lock:
                self._lent[path] -= 1
                self._returned.notify_all()

    def _take(self, key: _Key) -> sqlite3.Connection | None:
        with self._lock:
            for connection in reversed(self._idle):
                if self._idle[connection] == key:
                    del self._idle[connection]
                    return connection
        return None

    def _give_back(self, connection: sqlite3.Connection, key: _Key, *, sound: bool) -> None:
        leaving: tuple[sqlite3.Connection, _Key] | None = connection, key
        with self._lock:
            if sound and not self._closed and key[0] not in self._retired:
                self._idle[connection] = key
                full = len(self._idle) > self._max_idle
                leaving = self._idle.popitem(last=False) if full else None
        if leaving is not None:
            self._close(leaving[0], leaving[1][0])

    def _close(self, connection: sqlite3.Connection, path: Path) -> None:
        # The last one to be closed takes the log along: sums follow before, and after what failed.
        sums = self.page_sums(path)
        sums.follow(connection, frames=0)
        connection.close()
        sums.settle()


def connect(path: Path, role: Role) -> sqlite3.Connection:
    """Open an existing database in autocommit mode, usable from any one thread at a time."""
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    for pragma in role.value:
        connection.execute(pragma)
    return connection
