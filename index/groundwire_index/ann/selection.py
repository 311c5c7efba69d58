"""Which positions a search may name, and what to do where too few of them were found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from groundwire_index.ann.library import faiss
from groundwire_index.ann.protocol import Bitmap, Positions
from groundwire_index.storage.segment_file import Matrix


class Selection:
    """The allowed ones of ``size`` positions."""

    def __init__(self, allowed: Bitmap | None, size: int) -> None:
        self.size = size
        self.count = size if allowed is None else int(np.bitwise_count(allowed).sum())
        self.selector: Any = None
        if allowed is not None and self.count < size:
            self.selector = faiss().IDSelectorBitmap(np.ascontiguousarray(allowed))

    def widened(self, effort: int) -> int:
        """An effort that meets as many allowed positions as it would if all were."""
        return -(-effort * self.size // max(self.count, 1))


def completed(
    found: Positions, points: Matrix, enough: int, search: Callable[[Matrix], Positions]
) -> Positions:
    """``found``, with those rows searched again that hold fewer than ``enough`` positions."""
    if not enough:
        return found
    # What is missing is at the end of a row.
    missing = found[:, enough - 1] < 0
    if missing.any():
        found[missing] = search(points[missing])
    return found
