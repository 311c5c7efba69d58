"""An index that a GPU searches, and the CPU where the GPU does not."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from groundwire_index.ann import Ann, Asked, Bitmap, Positions, Tuning
from groundwire_index.ann.selection import Selection
from groundwire_index.gpu.device import DeviceError, Found
from groundwire_index.gpu.fallbacks import Fallbacks
from groundwire_index.storage.segment_file import Matrix


@runtime_checkable
class Portable(Ann, Protocol):
    """An index that GPUs can hold. Its own `search` is the CPU's."""

    @property
    def index(self) -> Any:
        """FAISS's index, to copy."""

    @property
    def bytes(self) -> int:
        """Memory that the copy takes, about."""

    def asked(
        self, queries: Matrix, depth: int, selection: Selection, tuning: Tuning
    ) -> Asked | None:
        """How a GPU is asked; None where the CPU finds more, or sooner."""


class Searcher(Protocol):
    """Searches the copy."""

    def search(self, asked: Asked, allowed: Bitmap | None) -> Found:
        """What the copy finds. Raises DeviceError."""


class GpuAnn:
    """An `Ann` whose answers come from a GPU as far as they can.

    What a GPU names is checked: whatever is wrong with it, no position is named that may not be,
    or twice. Queries for which too little is left are answered by the CPU.
    """

    def __init__(self, ann: Portable, copy: Searcher, fallbacks: Fallbacks) -> None:
        self.size = ann.size
        self._ann = ann
        self._copy = copy
        self._fallbacks = fallbacks

    def search(
        self, queries: Matrix, depth: int, allowed: Bitmap | None, tuning: Tuning
    ) -> Positions:
        """See `Ann`."""
        selection = Selection(allowed, self.size)
        asked = self._ann.asked(queries, depth, selection, tuning)
        if asked is None:
            return self._ann.search(queries, depth, allowed, tuning)
        if selection.selector is None:
            allowed = None
        try:
            found = self._copy.search(asked, allowed).positions
        except DeviceError as error:
            self._fallbacks.tell(error)
            return self._ann.search(queries, depth, allowed, tuning)
        found = checked(found, self.size, allowed)
        short = np.count_nonzero(found >= 0, axis=1) < min(depth, selection.count)
        if short.any():
            found = _replaced(
                found, short, self._ann.search(queries[short], depth, allowed, tuning)
            )
        return found


def checked(found: Positions, size: int, allowed: Bitmap | None) -> Positions:
    """What of ``found`` an index of ``size`` may name, in the same order, -1 after it."""
    sound = (found >= 0) & (found < size)
    if allowed is not None:
        at = np.where(sound, found, 0)
        sound &= (allowed[at >> 3] >> (at & 7) & 1).astype(np.bool_)
    order = np.argsort(found, axis=1, kind="stable")
    ascending = np.take_along_axis(found, order, axis=1)
    again = np.zeros_like(sound)
    again[:, 1:] = ascending[:, 1:] == ascending[:, :-1]
    np.put_along_axis(again, order, again.copy(), axis=1)
    kept = np.where(sound & ~again, found, -1)
    named: Positions = np.take_along_axis(kept, np.argsort(kept < 0, axis=1, kind="stable"), axis=1)
    return named


def _replaced(found: Positions, short: np.ndarray[Any, Any], again: Positions) -> Positions:
    """The rows of ``found`` that are short, by others."""
    whole = np.full((len(found), max(found.shape[1], again.shape[1])), -1, np.int64)
    whole[:, : found.shape[1]] = found
    whole[short] = -1
    whole[np.flatnonzero(short), : again.shape[1]] = again
    return whole
