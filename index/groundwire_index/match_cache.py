"""What filters let through, remembered until the next write."""

from __future__ import annotations

import threading
from collections import OrderedDict

from groundwire_index.filter_sql import CompiledFilter
from groundwire_index.matching import Bound

MAX_BYTES = 16 * 2**20


class MatchCache:
    """The last bounds of one collection, as of its last write, in ``max_bytes``. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._sequence = 0
        self._bytes = 0
        self._bounds: OrderedDict[CompiledFilter, Bound] = OrderedDict()

    def get(self, sequence: int, where: CompiledFilter) -> Bound | None:
        """What was put for a filter as of a write."""
        with self._lock:
            if sequence != self._sequence or where not in self._bounds:
                return None
            self._bounds.move_to_end(where)
            return self._bounds[where]

    def put(self, sequence: int, where: CompiledFilter, bound: Bound) -> None:
        """Remember a bound; one as of an earlier write than the last is not worth it."""
        with self._lock:
            if sequence < self._sequence:
                return
            if sequence > self._sequence:
                self._sequence, self._bytes = sequence, 0
                self._bounds.clear()
            self._bytes += _size(bound) - _size(self._bounds.pop(where, None))
            self._bounds[where] = bound
            while self._bytes > self._max_bytes:
                self._bytes -= _size(self._bounds.popitem(last=False)[1])


def _size(bound: Bound | None) -> int:
    # The rest of an entry, and of its filter, is counted as a little more than it mostly is.
    return 0 if bound is None else bound.rows.rows.nbytes + 1000
