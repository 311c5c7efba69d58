"""A checksum of each page of a database, which SQLite does not keep.

They lie in a file beside it. SQLite writes a page to its log first and to its place later, and
starts the log over when all of it has reached its place: the sums of those pages follow. A page
that is in the log is not held against its sum, for it is read from there, and the log has
checksums of its own.

A sum that does not fit says that the page has to be looked at: it is left behind, too, by another
program that wrote to the database.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

PAGE = 4096
# Frames of the log from which on each commit has SQLite write pages to their places.
CHECKPOINT_FRAMES = 1000
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
        self._in_log: set[int] = set()

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

    def follow(self) -> None:
        """Something was committed. Sums that cannot be stored are found to differ later on."""
        with self._changing, suppress(OSError):
            self._follow()

    def settle(self) -> None:
        """What is in the log has been written to its place, as far as nobody reads before it."""
        with self._changing, suppress(OSError):
            self._store()
            if not self._log.exists():
                self._in_log.clear()

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
                # It was started over: what it held is in its place.
                self._store()
                self._in_log.clear()
                self._salts, self._frames = salts, 0
            self._read(log)
        finally:
            os.close(log)
        if self._frames >= CHECKPOINT_FRAMES:
            self._store()

    def _read(self, log: int) -> None:
        """Note the pages of the transactions that were added to the log."""
        pages: list[int] = []
        # One that was given up is followed by nothing, or written over by the next.
        for page, ends in _frames(log, self._frames, self._salts):
            pages.append(page)
            if ends:
                self._in_log.update(pages)
                self._frames += len(pages)
                pages.clear()

    def _store(self) -> None:
        """Take the pages of the log as they are in the database now."""
        if not self._in_log or not self._sums.exists():
            return
        count = self._database.stat().st_size // PAGE
        with self._database.open("rb") as database, self._sums.open("rb+") as sums:
            for page in self._in_log:
                if page <= count:
                    content = os.pread(database.fileno(), PAGE, PAGE * (page - 1))
                    os.pwrite(sums.fileno(), struct.pack("<I", zlib.crc32(content)), 4 * (page - 1))
            if os.fstat(sums.fileno()).st_size > 4 * count:
                os.ftruncate(sums.fileno(), 4 * count)
            os.fsync(sums.fileno())


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
