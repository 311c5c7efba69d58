"""A checksum of each page of a database, which SQLite does not keep.

They lie in a file beside it. SQLite writes a page to its log first, to its place when it is told
to here, and starts the log over when all of it has reached its place: then, and before it is
started over, the sums of those pages follow. A page that is in the log is not held against its
sum, for it is read from there, and the log has checksums of its own.

Readers can keep the log from its place, and it grows meanwhile. What a commit costs does not: of
the log, the frames are read that it added, and of the database nothing.

A sum that does not fit says that the page has to be looked at: it is left behind, too, by another
program that wrote to the database.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

PAGE = 4096
# Frames of the log from which on each commit has SQLite write it to its place.
CHECKPOINT_FRAMES = 1000
# And so many that readers are to make room for that; if they do not, again when it is longer by
# this share.
_LONG_FRAMES = 8000
_LONGER = 0.25
_PIECE = 2**20
# https://www.sqlite.org/fileformat2.html#walformat
_LOG_HEADER, _SALTS = 32, slice(16, 24)
_FRAME_HEADER = struct.Struct(">II8s")
"""Page, whether the frame ends a transaction, and the salts of the log's round."""
_FRAME_BYTES = 24 + PAGE


class PageSums:
    """The sums of one database. Thread-safe."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._sums = database.with_name(f"{database.name}.sums")
        self._log = database.with_name(f"{database.name}-wal")
        self._changing = threading.Lock()
        self._salts = b""
        self._frames = 0
        self._long = _LONG_FRAMES
        self._has_begun = False
        self._in_log: set[int] = set()
        # Those of them whose sums are not of what the log holds.
        self._due: set[int] = set()

    def differing(self) -> list[int] | None:
        """Pages, from 1, that are not as they were written; None if there are no sums.

        Nobody writes meanwhile. Raises OSError.
        """
        if not self._sums.exists():
            return None
        with self._changing:
            self._follow()
            expected = np.fromfile(self._sums, "<u4")
            found = np.fromiter(_sums_of(self._database), np.uint32)
        known = expected[: len(found)]
        # A page that has never been written to its place has no sum.
        wrong = np.flatnonzero((found[: len(known)] != known) & (known != 0)) + 1
        lost = range(len(found) + 1, len(expected) + 1)
        return [page for page in (*wrong.tolist(), *lost) if page not in self._in_log]

    def begin(self, connection: sqlite3.Connection) -> None:
        """A writer has come: what a kill has left of the log goes to its place first."""
        if not self._has_begun:
            self._has_begun = True
            self.follow(connection, frames=0)

    def follow(self, connection: sqlite3.Connection, frames: int = CHECKPOINT_FRAMES) -> None:
        """Something was committed; a log of at least so many frames is to go to its place.

        Whoever writes waits until this is done. Sums that cannot be stored are found to differ
        later on.
        """
        with self._changing, suppress(OSError, sqlite3.Error):
            self._follow()
            if self._frames >= frames and self._put_in_place(connection):
                self._store()

    def empty_log(self, connection: sqlite3.Connection) -> bool:
        """Put the log in its place and cut it off, so that nothing is left of former pages.

        Nobody else writes meanwhile. Whether it is empty now: a reader may be in the way.
        """
        with self._changing, suppress(OSError, sqlite3.Error):
            self._follow()
            if self._put_in_place(connection):
                self._store()
                (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return not busy
        return False

    def log_is_long(self) -> bool:
        """Whether readers have kept the log from its place for too long; then not for a while."""
        with self._changing:
            if self._frames < self._long:
                return False
            self._long = round((1 + _LONGER) * self._frames)
            return True

    def settle(self) -> None:
        """A connection was closed, and if it was the last, the log went to its place and away."""
        with self._changing, suppress(OSError):
            if not self._log.exists():
                self._forget_log(b"")

    def renew(self) -> None:
        """Take every page as it is now, while nobody writes. Raises OSError."""
        sums = np.fromiter(_sums_of(self._database), "<u4")
        with self._sums.open("wb") as file:
            file.write(sums.tobytes())
            file.flush()
            os.fsync(file.fileno())

    def _follow(self) -> None:
        try:
            log = os.open(self._log, os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            salts = os.pread(log, _LOG_HEADER, 0)[_SALTS]
            if salts != self._salts:
                self._forget_log(salts)
            self._read(log)
        finally:
            os.close(log)

    def _forget_log(self, salts: bytes) -> None:
        """It was started over: what it held is in its place."""
        self._store()
        self._in_log.clear()
        self._salts, self._frames, self._long = salts, 0, _LONG_FRAMES

    def _read(self, log: int) -> None:
        """Note the pages of the transactions that were added to the log."""
        pages: list[int] = []
        # One that was given up is followed by nothing, or written over by the next.
        for page, ends in _frames(log, self._frames, self._salts):
            pages.append(page)
            if ends:
                self._in_log.update(pages)
                self._due.update(pages)
                self._frames += len(pages)
                pages.clear()

    def _put_in_place(self, connection: sqlite3.Connection) -> bool:
        """Have SQLite write the log to its place; whether all that was read of it is there."""
        busy, frames, placed = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if busy or placed < frames or frames > self._frames:
            return False
        # What a kill tore looks like frames, and is written over.
        self._frames = frames
        return True

    def _store(self) -> None:
        """Take the pages that are due as they are in the database now."""
        if not self._due or not self._sums.exists():
            return
        count = self._database.stat().st_size // PAGE
        with self._database.open("rb") as database, self._sums.open("rb+") as sums:
            for page in self._due:
                if page <= count:
                    content = os.pread(database.fileno(), PAGE, PAGE * (page - 1))
                    os.pwrite(sums.fileno(), struct.pack("<I", zlib.crc32(content)), 4 * (page - 1))
            if os.fstat(sums.fileno()).st_size > 4 * count:
                os.ftruncate(sums.fileno(), 4 * count)
            os.fsync(sums.fileno())
        self._due.clear()


def _frames(log: int, first: int, salts: bytes) -> Iterator[tuple[int, int]]:
    """Page of each frame of the log's present round, and whether it ends a transaction."""
    at = _LOG_HEADER + first * _FRAME_BYTES
    while len(header := os.pread(log, _FRAME_HEADER.size, at)) == _FRAME_HEADER.size:
        page, ends, round_of = _FRAME_HEADER.unpack(header)
        if round_of != salts:
            return
        yield page, ends
        at += _FRAME_BYTES


def _sums_of(database: Path) -> Iterator[int]:
    with database.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            view = memoryview(piece)
            for start in range(0, len(view), PAGE):
                yield zlib.crc32(view[start : start + PAGE])
