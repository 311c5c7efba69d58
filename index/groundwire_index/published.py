"""What dense searches see: the vectors as of the last committed write."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from groundwire_index.anns import Anns, AnnView
from groundwire_index.coverage import Span, uncovered
from groundwire_index.errors import UnavailableError
from groundwire_index.space import Space
from groundwire_index.state import State

# From a commit to its publication there is nothing to wait for but the processor.
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Every vector as of one write, and the indexes over them."""

    state: State
    space: Space
    anns: tuple[AnnView, ...]
    left_over: tuple[Span, ...]
    """What no index covers."""

    @property
    def sequence(self) -> int:
        """Number of the write."""
        return self.state.sequence

    @classmethod
    def of(cls, state: State, space: Space, anns: Anns) -> View:
        """The view after a write."""
        slots = {segment.number: len(segment.rows) for segment in space.segments}
        views = anns.views(space)
        left_over = uncovered(slots, [view.entry for view in views])
        return cls(state, space, views, left_over)


class Published:
    """The last view. One thread publishes, any number wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._view: View | None = None

    @property
    def last(self) -> View | None:
        """The view after the last write; None before there is one."""
        return self._view

    def publish(self, view: View) -> None:
        """Let readers see a view."""
        with self._changed:
            self._view = view
            self._changed.notify_all()

    def clear(self) -> None:
        """There is no view any more."""
        with self._changed:
            self._view = None
            self._changed.notify_all()

    def at(self, sequence: int) -> View | None:
        """The view as of a write that is committed; waits for its publication.

        None if a later one has come in its place, or none is left.
        """
        view = self._view
        if view is None or view.sequence < sequence:
            view = self._await(sequence)
        return view if view is not None and view.sequence == sequence else None

    def _await(self, sequence: int) -> View | None:
        with self._changed:
            arrived = self._changed.wait_for(
                lambda: self._view is None or self._view.sequence >= sequence, _PATIENCE_S
            )
            if not arrived:
                raise UnavailableError("the index is too busy to show its last write: retry")
            return self._view
