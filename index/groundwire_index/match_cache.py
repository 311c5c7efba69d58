"""What filters let through, remembered; what is written later only adds rows and ends some."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from groundwire_index.filter_sql import CompiledFilter
from groundwire_index.matching import Bound
from groundwire_index.state import State

MAX_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """What is known of a filter, as of a state."""

    state: State
    bound: Bound


class MatchCache:
    """The last bounds of one collection, in ``max_bytes``. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._matched: OrderedDict[CompiledFilter, Matched] = OrderedDict()

    def get(self, where: CompiledFilter) -> Matched | None:
        """What was put for a filter last."""
        with self._lock:
            matched = self._matched.get(where)
            if matched is not None:
                self._matched.move_to_end(where)
            return matched

    def put(self, where: CompiledFilter, matched: Matched) -> None:
        """Remember a bound, unless one as of a later write is."""
        with self._lock:
            known = self._matched.get(where)
            if known is not None and known.state.sequence > matched.state.sequence:
                return
            self._bytes += _size(matched) - _size(self._matched.pop(where, None))
            self._matched[where] = matched
            while self._bytes > self._max_bytes:
                self._bytes -= _size(self._matched.popitem(last=False)[1])


def _size(matched: Matched | None) -> int:
    # The rest of an entry, and of its filter, is counted as a little more than it mostly is.
    return 0 if matched is None else matched.bound.rows.rows.nbytes + 1000
