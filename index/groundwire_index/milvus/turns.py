"""Turns at a collection: many read at once, whoever writes is alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """First come, first served: a read that comes after a waiting write comes after it."""

    def __init__(self) -> None:
        self._next = threading.Lock()
        self._readers = 0
        self._changed = threading.Condition()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Wait for the writes that came before."""
        with self._next, self._changed:
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Wait for all who came before."""
        with self._next:
            with self._changed:
                self._changed.wait_for(lambda: self._readers == 0)
            yield
