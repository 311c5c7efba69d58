"""One writer at a time, whose groups of writes reach the disk together.

Callers queue their writes and take turns at one lock. Whoever gets it does everything that is
queued: each write in a savepoint of its own, the vectors appended and synced once, SQLite
committed once, the new view published, and only then does anyone return. So a write costs a
share of two syncs, no thread waits for work, and an idle collection holds nothing.

The order makes a crash harmless at any point: vectors that are on the disk before the commit
lie past the end that the database knows, and are written over.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

from groundwire_index.anns import Anns, drop_entries, read_entries
from groundwire_index.coverage import AnnEntry
from groundwire_index.errors import DataLossError, GroundwireError, UnavailableError
from groundwire_index.files import Files
from groundwire_index.gpu.segments import SegmentCopies
from groundwire_index.published import Published, View
from groundwire_index.purge import Retention, purge
from groundwire_index.segments import Segments
from groundwire_index.space import Space
from groundwire_index.state import State, is_damaged, mark_damaged, read_state, write_state
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.failures import storage_errors
from groundwire_index.tail import Tail, read_tail, store_parts, withdraw_parts, write_tail
from groundwire_index.transaction import Transaction
from groundwire_index.writes import forget_answers

MAX_GROUP = 128

T = TypeVar("T")


class Writer:
    """Writes to one collection, and publishes what readers see. Thread-safe."""

    def __init__(
        self,
        database: Path,
        files: Files,
        anns: Anns,
        copies: SegmentCopies,
        connections: ConnectionPool,
        retention: Retention,
        damage: DataLossError | None,
    ) -> None:
        self._damage = damage
        self._database = database
        self._files = files
        self._anns = anns
        self._copies = copies
        self._connections = connections
        self._retention = retention
        self._published = Published()
        self._on_publish: Callable[[View], None] = _nobody_looks
        self._queue: deque[_Job] = deque()
        self._turn = threading.Lock()
        self._segments: Segments | None = None
        self._tail = Tail(1, 0)
        self._closed: GroundwireError | None = None
        # What was purged can still be in the log, also that of a former process.
        self._purged = True

    def watch(self, on_publish: Callable[[View], None]) -> None:
        """Show every view that is published from now on; to be looked at quickly."""
        self._on_publish = on_publish

    def write(self, write: Callable[[Transaction], T]) -> T:
        """Do a write; when this returns it is on stable storage, and reads see it.

        Raises what the write raises, and ResourceExhaustedError, UnavailableError or
        DataLossError when the storage fails; then nothing of the write is left.
        """
        job = _Job(write)
        self._queue.append(job)
        with self._turn:
            while not job.done:
                self._do_group()
        if job.error is not None:
            raise job.error
        return cast(T, job.result)

    def purge(self) -> int:
        """Remove the rows that no reader can want any more; how many they were.

        What writes have removed by then is gone from the database's log, too, unless a reader is
        in the way for long: then the next purge has it go.
        """
        total = 0
        while removed := self.write(self._purge):
            total += removed
        with self._turn:
            if self._purged and self._closed is None:
                self._purged = not self._connections.empty_log(self._database)
        return total

    def view_at(self, sequence: int) -> View | None:
        """The vectors as of a committed write; None if they have moved on since."""
        self.latest()
        return self._published.at(sequence)

    def latest(self) -> View:
        """The vectors as of the last write, more or less."""
        while (view := self._published.last) is None:
            with self._turn:
                self._start()
        return view

    def close(self, error: GroundwireError) -> None:
        """Finish the writes in progress; later ones raise ``error``."""
        with self._turn:
            self._closed = error
            self._forget_view()

    def _start(self) -> Segments:
        if self._closed is not None:
            raise self._closed
        if self._segments is None:
            with self._connections.lend(self._database, Role.WRITER) as connection:
                segments = Segments.load(connection, self._files)
                damaged = segments.damage is not None
                if damaged != is_damaged(connection):
                    mark_damaged(connection, damaged)
                state = read_state(connection)
                drop_entries(connection, self._anns.load(read_entries(connection)))
            self._segments = segments
            self._publish(state, segments)
        return self._segments

    def _do_group(self) -> None:
        jobs = [self._queue.popleft() for _ in range(min(MAX_GROUP, len(self._queue)))]
        try:
            segments = self._start()
            damage = self._damage or segments.damage
            if damage is not None:
                raise damage
            self._commit(jobs, segments)
        except GroundwireError as error:
            for job in jobs:
                job.fail(error)
        finally:
            for job in jobs:
                job.fail(UnavailableError("the write was interrupted: retry it"))

    def _commit(self, jobs: Sequence[_Job], segments: Segments) -> None:
        with self._connections.lend(self._database, Role.WRITER) as connection:
            connection.execute("BEGIN IMMEDIATE")
            transaction = self._transaction(connection)
            before = transaction.state
            for job in jobs:
                job.attempt(transaction)
            if transaction.state.sequence != before.sequence:
                forget_answers(transaction)
                self._purge(transaction)
            if transaction.state != before:
                self._store(transaction)
            # Should the commit fail, it could still show after a crash: its slots stay taken.
            self._tail = transaction.tail
            entries = read_entries(connection) if transaction.new_anns else None
            connection.execute("COMMIT")
        self._show(transaction, segments, entries)
        for job in jobs:
            job.finish()

    def _purge(self, transaction: Transaction) -> int:
        removed = purge(transaction, self._retention)
        self._purged = self._purged or removed > 0
        return removed

    def _transaction(self, connection: sqlite3.Connection) -> Transaction:
        return Transaction(
            connection,
            read_state(connection),
            max(self._tail, read_tail(connection)),
            self._files.capacity,
            self._retention.now,
        )

    def _store(self, transaction: Transaction) -> None:
        start = max(self._tail, read_tail(transaction.connection))
        try:
            with storage_errors(self._files.folder):
                store_parts(self._files, transaction.parts)
        except GroundwireError:
            with suppress(OSError):
                withdraw_parts(self._files, transaction.parts, start)
            raise
        write_tail(transaction.connection, transaction.parts)
        write_state(transaction.connection, transaction.state)

    def _show(
        self, transaction: Transaction, segments: Segments, entries: Sequence[AnnEntry] | None
    ) -> None:
        try:
            if entries is not None:
                self._anns.load(entries)
            for part in transaction.parts:
                segments.add(part)
            for moved in transaction.moved:
                segments.move(moved)
            for ending in transaction.endings:
                segments.end(ending.segment, ending.slot, ending.sequence)
            for number in transaction.dropped:
                segments.drop(number)
            self._publish(transaction.state, segments)
        except OSError:
            # What cannot be mapped or removed now is tried again by the next reader.
            self._forget_view()

    def _publish(self, state: State, segments: Segments) -> None:
        views = segments.views(state.sequence)
        space = Space.of(views, self._copies.over(views))
        view = View.of(state, space, self._anns)
        self._published.publish(view)
        self._on_publish(view)

    def _forget_view(self) -> None:
        self._segments = None
        self._published.clear()


def _nobody_looks(view: View) -> None:
    del view


class _Job:
    """A queued write and what became of it."""

    def __init__(self, write: Callable[[Transaction], object]) -> None:
        self._write = write
        self.done = False
        self.result: object = None
        self.error: GroundwireError | None = None

    def attempt(self, transaction: Transaction) -> None:
        """Do it within the group; what it refuses concerns no other write."""
        try:
            self.result = transaction.attempt(self._write)
        except GroundwireError as error:
            self.error = error

    def finish(self) -> None:
        """The group is committed."""
        self.done = True

    def fail(self, error: GroundwireError) -> None:
        """The group is not committed."""
        if not self.done:
            self.error = self.error or error
            self.done = True
