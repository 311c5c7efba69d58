"""Gives back the room of vectors that nobody can find any more.

A segment of which a fifth is gone is moved: its vectors are copied to a segment of their own,
its rows are pointed there, some at a time so that no write waits long, and then it is dropped.
The segment that was written to is cut short by that; when a few such small ones have come
together, they are moved into one. A crash between leaves two segments with gaps, which the next
compaction mends.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from groundwire_index.ann import BuildCancelledError
from groundwire_index.errors import DataLossError, GroundwireError
from groundwire_index.files import Files
from groundwire_index.moving import Drop, Move, Resident, reserve
from groundwire_index.published import View
from groundwire_index.segments import checksum
from groundwire_index.state import read_state
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.segment_file import StoredMatrix
from groundwire_index.tail import read_tail
from groundwire_index.writer import Writer

# A segment is moved when no more than this share of it is left.
KEPT_SHARE = 0.8
# So many segments of at most half the size are moved together.
SMALL = 4
# A read that began before its segment was dropped has ended so many seconds later.
_PATIENCE_S = 60.0
# Rows that are pointed elsewhere in one transaction: some ten milliseconds.
_SLICE = 1000


class Compactor:
    """Compacts one collection, one segment at a time. Thread-safe."""

    def __init__(
        self, database: Path, files: Files, connections: ConnectionPool, writer: Writer
    ) -> None:
        self._database = database
        self._files = files
        self._connections = connections
        self._writer = writer
        self._compacting = threading.Lock()
        self._dropped: list[tuple[float, int]] = []
        self._unfinished: int | None = None
        # What was found not worth moving, until more is purged or suspected: every write asks.
        self._in_vain: tuple[int, tuple[int, ...]] | None = None

    def is_due(self, view: View) -> bool:
        """Whether some segment may be worth moving. Quick, and sometimes wrong."""
        last = max((segment.number for segment in view.space.segments), default=0)
        return bool(_suspects(view, last, self._files.capacity))

    def compact_next(self, cancelled: Callable[[], bool]) -> bool:
        """Move the next segments that are worth it; whether there were any.

        Raises BuildCancelledError soon after ``cancelled`` says so, and what the storage
        raises; nothing is lost then.
        """
        with self._compacting:
            return self._compact_next(cancelled)

    def _compact_next(self, cancelled: Callable[[], bool]) -> bool:
        victims, residents = self._victims()
        if not victims:
            return False
        if residents:
            self._move(residents, cancelled)
        dropped = self._writer.write(Drop(victims))
        self._dropped += [(time.monotonic() + _PATIENCE_S, number) for number in dropped]
        return True

    def _move(self, residents: Sequence[Resident], cancelled: Callable[[], bool]) -> None:
        vectors = self._copied(residents)
        target = self._writer.write(reserve)
        self._trim()
        self._store(target, vectors)
        self._unfinished = target
        for move in _slices(target, residents, vectors):
            if cancelled():
                raise BuildCancelledError
            self._writer.write(move)
        self._unfinished = None

    def _store(self, target: int, vectors: StoredMatrix) -> None:
        file = self._files.segment(target)
        try:
            with storage_errors(file.path):
                file.write(0, vectors)
        except GroundwireError:
            # On a full disk, the room is wanted by others.
            with suppress(OSError):
                file.path.unlink(missing_ok=True)
            raise

    def _trim(self) -> None:
        """Give back what an unfinished move has stored and not committed.

        A commit that failed could still show after a crash, until another one succeeded.
        """
        if self._unfinished is None:
            return
        with self._connections.lend(self._database, Role.READER) as connection:
            slots = connection.execute(
                "SELECT slots FROM segments WHERE number = ?", (self._unfinished,)
            ).fetchone()
            self._files.segment(self._unfinished).cut(slots[0] if slots else 0)
        self._unfinished = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No segment is moved or removed meanwhile."""
        with self._compacting:
            yield

    def tidy(self) -> None:
        """Remove the files of segments that were dropped a while ago; a start removes all."""
        with self._compacting:
            self._tidy()

    def _tidy(self) -> None:
        due = [number for time_due, number in self._dropped if time_due <= time.monotonic()]
        self._dropped = [one for one in self._dropped if one[1] not in due]
        for number in due:
            path = self._files.segment(number).path
            with storage_errors(path):
                path.unlink(missing_ok=True)

    def _victims(self) -> tuple[tuple[int, ...], list[Resident]]:
        """Segments to move, as many as fill one, and the rows that they hold."""
        view = self._writer.latest()
        with self._connections.lend(self._database, Role.READER) as connection:
            connection.execute("BEGIN")
            suspects = _suspects(view, read_tail(connection).segment, self._files.capacity)
            looked_at = (read_state(connection).purged, tuple(suspects))
            if looked_at == self._in_vain:
                return (), []
            victims = tuple(self._worth_moving(connection, suspects))
            self._in_vain = None if victims else looked_at
            residents = [one for number in victims for one in _residents(connection, number)]
        return victims, sorted(residents, key=lambda resident: resident.row)

    def _worth_moving(
        self, connection: sqlite3.Connection, suspects: Mapping[int, float]
    ) -> Iterator[int]:
        """Those of which enough is purged: what is only dead may still be scrolled over."""
        room = self._files.capacity
        for number, most in suspects.items():
            (held,) = connection.execute(
                "SELECT count(*) FROM rows WHERE segment = ?", (number,)
            ).fetchone()
            if held <= min(room, most):
                room -= held
                yield number

    def _copied(self, residents: Sequence[Resident]) -> StoredMatrix:
        dtype = self._files.vector_type.dtype
        vectors = np.empty((len(residents), self._files.dimension), dtype)
        for number in {resident.segment for resident in residents}:
            mine = [at for at, resident in enumerate(residents) if resident.segment == number]
            file = self._files.segment(number)
            with storage_errors(file.path):
                read = file.read([residents[at].slot for at in mine])
            for at, data in zip(mine, read, strict=True):
                if checksum(data) != residents[at].checksum:
                    raise DataLossError(
                        f"{file.path} is damaged: it cannot be compacted",
                        reason="VECTORS_DAMAGED",
                        metadata={"file": str(file.path)},
                    )
                vectors[at] = np.frombuffer(data, dtype)
        return vectors


def _suspects(view: View, last: int, capacity: int) -> dict[int, float]:
    """Segments of which enough does not count, and small ones if they are a few.

    By number, with the most that may be left of one to be moved. Without the ``last`` one, which
    is written to.
    """
    closed = [segment for segment in view.space.segments if segment.number != last]
    small = [segment for segment in closed if 2 * len(segment.rows) <= capacity]
    sparse = [one for one in closed if one.alive <= KEPT_SHARE * len(one.rows)]
    gathered = small if len(small) >= SMALL else []
    return {
        **{segment.number: KEPT_SHARE * len(segment.rows) for segment in sparse},
        **{segment.number: float(capacity) for segment in gathered},
    }


def _residents(connection: sqlite3.Connection, segment: int) -> list[Resident]:
    return [
        Resident(*found)
        for found in connection.execute(
            "SELECT row, segment, slot, checksum FROM rows WHERE segment = ?", (segment,)
        )
    ]


def _slices(target: int, residents: Sequence[Resident], vectors: StoredMatrix) -> Iterator[Move]:
    for first in range(0, len(residents), _SLICE):
        piece = slice(first, first + _SLICE)
        yield Move(target, first, residents[piece], vectors[piece])
