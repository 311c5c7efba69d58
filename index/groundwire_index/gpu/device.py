"""What is asked of a GPU, and how it says no. `faiss_device` is the real one."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from groundwire_index.ann import Asked, Bitmap, Positions
from groundwire_index.ann.linking import Links
from groundwire_index.storage.segment_file import Matrix


class Reason(StrEnum):
    """Why the CPU answers in a GPU's place."""

    ABSENT = "absent"
    LOADING = "loading"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"
    CLOSING = "closing"


class DeviceError(Exception):
    """A GPU does not do what it was asked; the CPU can."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason = reason

    def again(self) -> DeviceError:
        """The same to raise elsewhere: one that is raised again and again grows."""
        return DeviceError(self.reason, str(self))


class Found(NamedTuple):
    """What a GPU names for each query, nearest first."""

    distances: NDArray[np.float32]
    """By FAISS's metric, shape (queries, count)."""
    positions: Positions
    """Of the same shape; -1 where there was no more to name."""


class Copy(Protocol):
    """An index on a GPU. Its device's thread alone may touch it."""

    def search(self, asked: Asked, allowed: Bitmap | None) -> Found:
        """Name the nearest of those allowed (None: all). Raises DeviceError."""


class Device(Protocol):
    """One GPU, as the one thread sees it that made it and may use it. All raise DeviceError."""

    def copy(self, index: Any) -> Copy:
        """A copy of FAISS's `IndexHNSWCagra` or `IndexIVFPQ`, which must stay while it is used."""

    def copy_points(self, pieces: Iterable[Matrix], width: int, distance: int) -> Copy:
        """Points to compare with every query, by FAISS's number of a metric."""

    def train(self, index: Any, sample: Matrix) -> None:
        """Have an `IndexIVFPQ` learn its codes from a sample."""

    def link(self, points: Matrix, degree: int, distance: int) -> Links:
        """CAGRA's graph of points, shape (points, degree)."""
