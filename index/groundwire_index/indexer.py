"""Builds approximate indexes in the background, one at a time for all collections."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from groundwire_index.ann import BuildCancelledError
from groundwire_index.errors import GroundwireError

Build = Callable[[Callable[[], bool]], bool]
"""Builds the next index that is due, until it is cancelled; whether there was one."""

# The thread gives way to searches and writes.
_NICE = 10

_log = logging.getLogger(__name__)


class Indexer:
    """A thread that lives while there is something to build. Thread-safe."""

    def __init__(self) -> None:
        self._changing = threading.Condition()
        self._due: deque[Build] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, build: Build) -> None:
        """Build what is due, soon; asked again meanwhile, once more."""
        with self._changing:
            if self._closed or build in self._due:
                return
            self._due.append(build)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="groundwire-indexer", daemon=True
                )
                self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing is due; whether that came to be in time."""
        with self._changing:
            return self._changing.wait_for(lambda: self._thread is None, timeout_s)

    def close(self) -> None:
        """Stop building, soon."""
        with self._changing:
            self._closed = True
            self._due.clear()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        orderly = False
        try:
            while (build := self._next()) is not None:
                self._build_all(build)
            orderly = True
        finally:
            if not orderly:
                self._gone()

    def _next(self) -> Build | None:
        with self._changing:
            if self._due:
                return self._due.popleft()
            self._gone()
            return None

    def _gone(self) -> None:
        """The next that is submitted starts another thread."""
        with self._changing:
            self._thread = None
            self._changing.notify_all()

    def _build_all(self, build: Build) -> None:
        try:
            while build(lambda: self._closed):
                pass
        except BuildCancelledError:
            return
        except GroundwireError as error:
            # The vectors are compared one by one meanwhile; the next write tries again.
            _log.warning("an index could not be built: %s", error)
