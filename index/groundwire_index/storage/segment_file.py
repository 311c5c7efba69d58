"""A file of vectors, back to back: numbers of one type, little-endian, only ever added to.

How many of them count is not said here but in the database, which is committed after the
vectors are on stable storage. What lies beyond is leftover or room, and is written over.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundwire_index.storage.folders import sync_folder

Matrix = NDArray[np.float32]
StoredMatrix = NDArray[np.float16 | np.float32]
"""Vectors of the type that their collection is stored in."""


class SegmentFile:
    """One segment's vectors of ``dimension`` numbers each, at most ``capacity`` of them."""

    def __init__(
        self,
        path: Path,
        dimension: int,
        dtype: np.dtype[np.float16 | np.float32],
        capacity: int,
    ) -> None:
        self.path = path
        self._dimension = dimension
        self._dtype = dtype
        self._width = dtype.itemsize * dimension
        self._capacity = capacity

    def write(self, first: int, vectors: StoredMatrix) -> None:
        """Put vectors of shape (count, dimension) at slots ``first``... on stable storage."""
        created = not self.path.exists()
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._make_room(file, first + len(vectors))
            data = vectors.astype(self._dtype, copy=False).data.cast("B")
            _write_all(file, data, first * self._width)
            os.fdatasync(file)
        finally:
            os.close(file)
        if created:
            sync_folder(self.path.parent)

    def cut(self, slots: int) -> None:
        """Drop what lies beyond the first ``slots`` vectors."""
        if self.path.exists() and self.path.stat().st_size > slots * self._width:
            os.truncate(self.path, slots * self._width)

    def map(self) -> StoredMatrix:
        """All vectors for which there is room, shape (room, dimension), read-only, not copied.

        What is written into the file later shows in it. A file that is missing has room for
        none.
        """
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return np.empty((0, self._dimension), self._dtype)
        try:
            rows = os.fstat(file).st_size // self._width
            if rows == 0:
                return np.empty((0, self._dimension), self._dtype)
            mapped = mmap.mmap(file, rows * self._width, access=mmap.ACCESS_READ)
        finally:
            os.close(file)
        return np.frombuffer(mapped, self._dtype).reshape(rows, self._dimension)

    def read(self, slots: Sequence[int]) -> list[bytes]:
        """The bytes of some vectors; fewer of those that lie past the end of the file."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return [b""] * len(slots)
        try:
            return [os.pread(file, self._width, slot * self._width) for slot in slots]
        finally:
            os.close(file)

    def _make_room(self, file: int, slots: int) -> None:
        # Doubling the file, as a hole that takes no space, keeps it mapped for many writes.
        size = os.fstat(file).st_size
        if size < slots * self._width:
            room = min(max(slots, 2 * size // self._width), max(slots, self._capacity))
            os.ftruncate(file, room * self._width)


def _write_all(file: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
