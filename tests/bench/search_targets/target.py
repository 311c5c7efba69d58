"""What can be measured: it is filled once, then searched by many at once."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tests.bench.search_targets.corpus import Below, Corpus

Vector = NDArray[np.float32]


class Target(Protocol):
    """A store of vectors. Entered before it is filled; it cleans up when it is left."""

    name: str

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *error: object) -> None: ...

    async def fill(self, corpus: Corpus) -> None:
        """Store everything: vectors, texts and metadata."""
        ...

    async def search(self, query: Vector, top_k: int, where: Below | None) -> list[int]:
        """Numbers of the rows nearest by cosine, nearest first; of those that pass if given.

        Any number of searches may be in progress at once.
        """
        ...
