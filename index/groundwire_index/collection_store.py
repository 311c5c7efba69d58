"""The files of one collection in use: states to read from, and the writer that makes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from groundwire_index.anns import AnnFiles, Anns
from groundwire_index.errors import DataLossError, GroundwireError, UnavailableError
from groundwire_index.files import Files
from groundwire_index.gpu import Gpus
from groundwire_index.gpu.segments import SegmentCopies
from groundwire_index.match_cache import MatchCache
from groundwire_index.purge import Retention
from groundwire_index.record_cache import RecordCache
from groundwire_index.records import CollectionSpec, WriteResult
from groundwire_index.snapshot import Snapshot
from groundwire_index.state import read_state
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.schema import DATABASE
from groundwire_index.transaction import Transaction
from groundwire_index.writer import Writer
from groundwire_index.writes import Once

T = TypeVar("T")


class CollectionStore:
    """What a collection is on the disk. Thread-safe.

    Everything raises what it was closed with, once it is.
    """

    def __init__(
        self,
        folder: Path,
        spec: CollectionSpec,
        connections: ConnectionPool,
        retention: Retention,
        segment_bytes: int,
        gpus: Gpus,
        recent: RecordCache,
        damage: DataLossError | None = None,
    ) -> None:
        """With ``damage``, only reads are served, and what they cannot read they say."""
        self.folder = folder
        self.database = folder / DATABASE
        self.connections = connections
        self.files = Files(folder, spec.dimension, spec.vector_type, segment_bytes)
        self.ann_files = AnnFiles(folder)
        self.gpus = gpus
        anns = Anns(self.ann_files, spec.metric, spec.dimension, gpus)
        self.copies = SegmentCopies(gpus, spec.metric, wanted=spec.index_kind == "flat")
        self.writer = Writer(
            self.database, self.files, anns, self.copies, connections, retention, damage
        )
        self.damage = damage
        self.closed: GroundwireError | None = None
        """Why nothing can be done any more."""
        self._matches = MatchCache()
        self._recent = recent.of(folder.name)

    def require_open(self) -> None:
        """Raise what it was closed with, if it was."""
        if self.closed is not None:
            raise self.closed

    def snapshot(self, *, dense: bool = False) -> AbstractContextManager[Snapshot]:
        """The state after the last write, with its vectors if the read is ``dense``."""
        return self._reading(lambda connection: self._pinned(connection, dense=dense))

    def glance(self) -> AbstractContextManager[Snapshot]:
        """The vectors after the last write, and rows by number, without a transaction."""

        def seen(connection: sqlite3.Connection) -> Snapshot:
            view = self.writer.latest()
            return Snapshot(connection, view.state, view, self.files, self._matches, self._recent)

        return self._reading(seen)

    @contextmanager
    def _reading(self, see: Callable[[sqlite3.Connection], Snapshot]) -> Iterator[Snapshot]:
        self.require_open()
        try:
            with self.connections.lend(self.database, Role.READER) as connection:
                yield see(connection)
        except (DataLossError, UnavailableError):
            # Files that went away with the collection are no failure of the disk.
            if self.closed is not None:
                raise self.closed from None
            raise

    def write(self, write: Callable[[Transaction], T]) -> T:
        """As `Writer.write`."""
        return self.writer.write(write)

    def write_once(
        self,
        key: str,
        digest: bytes | Callable[[], bytes],
        write: Callable[[Transaction], WriteResult],
    ) -> WriteResult:
        """Write, unless that was done under this idempotency key; without a key, always."""
        if not key:
            return self.writer.write(write)
        told = digest if isinstance(digest, bytes) else digest()
        return self.writer.write(Once(key, told, write))

    def close(self, error: GroundwireError) -> None:
        """Finish the writes in progress; what comes later raises ``error``."""
        self.closed = error
        self.writer.close(error)
        self.connections.retire(self.database)

    def _pinned(self, connection: sqlite3.Connection, *, dense: bool) -> Snapshot:
        while True:
            connection.execute("BEGIN")
            state = read_state(connection)
            if not dense:
                return Snapshot(connection, state, None, self.files, self._matches, self._recent)
            view = self.writer.view_at(state.sequence)
            if view is not None:
                return Snapshot(connection, state, view, self.files, self._matches, self._recent)
            # A write came between the two: look again.
            connection.execute("ROLLBACK")
