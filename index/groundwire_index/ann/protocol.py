"""What an approximate index promises, whatever its kind.

It only proposes. Scores are computed from the vectors themselves, so an index may round them
as it likes: what it must not do is miss the nearest, or name a position that is not allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from groundwire_index.records import Metric
from groundwire_index.storage.segment_file import Matrix

Positions = NDArray[np.int64]
Bitmap = NDArray[np.uint8]
"""Bit ``i % 8`` (lowest first) of byte ``i // 8`` says whether position ``i`` is meant; bits past
the last position are 0. ``np.packbits(flags, bitorder="little")`` makes one."""


class BuildCancelledError(Exception):
    """A build was given up because its caller said so."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How hard one search tries; None leaves it to the index."""

    ef: int | None = None
    """Size of a graph's candidate list."""
    nprobe: int | None = None
    """Inverted lists to visit."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A search as a GPU is asked it."""

    points: Matrix
    """The queries, shape (queries, width of the index)."""
    count: int
    """How many positions each wants."""
    effort: int
    """Candidates that a walk keeps, or lists to visit."""


class Vectors(Protocol):
    """What an index is built from: rows that are read in pieces and never change."""

    @property
    def count(self) -> int:
        """How many they are."""

    @property
    def dimension(self) -> int:
        """Numbers in each."""

    def read(self, start: int, stop: int) -> Matrix:
        """Rows ``start`` to ``stop``, shape (stop - start, dimension)."""


class Ann(Protocol):
    """An open index. It never changes; any number of threads may search it at once. Its file is
    unmapped when nobody holds it any more."""

    @property
    def size(self) -> int:
        """Positions are 0 to ``size`` - 1, in the order of the vectors it was built from."""

    def search(
        self, queries: Matrix, depth: int, allowed: Bitmap | None, tuning: Tuning
    ) -> Positions:
        """Positions to score exactly, for each row of ``queries`` (count, dimension).

        Shape (count, candidates), best first by the index's own reckoning, none twice, padded
        with -1 at the end. All are allowed (None: every position is). A row holds at least
        ``depth`` of them, or all that are allowed where those are fewer; usually several times
        as many, so that rescoring finds the best ``depth``.
        """


class Family(Protocol):
    """How indexes of one kind are made and opened."""

    @property
    def kind(self) -> str:
        """Its name in a collection's configuration."""

    def check(self, parameters: Mapping[str, str]) -> None:
        """Raise InvalidArgumentError for a parameter that is unknown or out of range."""

    def build(
        self,
        vectors: Vectors,
        metric: Metric,
        parameters: Mapping[str, str],
        path: Path,
        cancelled: Callable[[], bool],
        threads: int = 1,
    ) -> None:
        """Write an index of ``vectors``, at least one, to a new file at ``path``.

        Holds the index and a bounded piece of the vectors in memory. The same vectors and
        parameters give the same index; a graph does so with one thread. Raises BuildCancelledError
        soon after ``cancelled()`` turns true; then, and after any failure, what is at ``path``
        is worthless. Syncing, renaming and checksums are the caller's.
        """

    def open(self, path: Path, metric: Metric, dimension: int) -> Ann:
        """Map the file of an index; it must not change while it is open.

        Raises DataLossError if it is not such an index, or if following what it says could
        lead outside of it. Codes may still have decayed: only a checksum tells.
        """
