"""What an approximate index is: it proposes, and others decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from groundwire_index.records import Metric
from groundwire_index.storage.segment_file import Matrix


class BuildCancelledError(Exception):
    """A build was told to stop."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a request may ask of an index; None for the index's own."""

    ef: int | None = None
    """HNSW: size of the candidate list."""
    nprobe: int | None = None
    """IVF: lists to visit."""


class Vectors(Protocol):
    """Vectors to index, read in pieces."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers in each."""
        ...

    def read(self, start: int, stop: int) -> Matrix:
        """Vectors ``start`` to ``stop`` (without it), shape (stop - start, dimension)."""
        ...


class Ann(Protocol):
    """An open index over positions 0 to ``size`` - 1. Immutable; any thread may search."""

    @property
    def size(self) -> int:
        """Vectors that it holds."""
        ...

    def search(
        self,
        queries: Matrix,
        depth: int,
        allowed: NDArray[np.uint8] | None,
        tuning: Tuning,
    ) -> NDArray[np.int64]:
        """Positions for each of ``queries`` (count, dimension), best first, -1 for none.

        Enough of them that the true best ``depth`` are nearly always among them. With
        ``allowed``, whose bit ``i % 8`` of byte ``i // 8`` says whether position i may be
        found, no others.
        """
        ...


class Family(Protocol):
    """A kind of index."""

    def check(self, parameters: Mapping[str, str]) -> None:
        """Raise InvalidArgumentError for a parameter that there is not, or a wrong value."""
        ...

    def build(
        self,
        vectors: Vectors,
        metric: Metric,
        parameters: Mapping[str, str],
        path: Path,
        cancelled: Callable[[], bool],
    ) -> None:
        """Write an index to one file. Raises BuildCancelledError soon after it is cancelled."""
        ...

    def open(self, path: Path, metric: Metric, dimension: int) -> Ann:
        """Open such a file. Raises DataLossError if it is no sound one."""
        ...
