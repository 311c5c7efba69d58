"""How much of a GPU's memory copies of indexes may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from groundwire_index.gpu.device import DeviceError, Reason

# Others on the GPU come and go: one that had no room is asked again after a minute, then after
# twice as long each time, up to an hour.
FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0


class Budget:
    """Bytes to give out: a limit of ours, and for a while what the GPU had. Thread-safe."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._taken = 0
        self._found = limit
        """What the GPU had room for when it was last full."""
        self._pause_s = FIRST_PAUSE_S
        self._asked_again = clock()
        """When it is asked for more than that."""
        self._changing = threading.Lock()

    @property
    def free(self) -> int:
        """What is left, as far as is known."""
        return (self._found if self._in_pause else self._limit) - self._taken

    def take(self, size: int) -> None:
        """Take so much; DeviceError if it is not there."""
        with self._changing:
            if size > self.free:
                raise DeviceError(Reason.OUT_OF_MEMORY, self._missing(size))
            self._taken += size

    def give(self, size: int) -> None:
        """Give back what was taken."""
        with self._changing:
            self._taken -= size

    def fitted(self) -> None:
        """The GPU had room for what was taken."""
        with self._changing:
            if not self._in_pause:
                self._pause_s = FIRST_PAUSE_S

    def exhausted(self, size: int) -> None:
        """The GPU had no room for what was taken: give it back, and ask for no more for a while."""
        with self._changing:
            self._taken -= size
            self._found = self._taken
            self._asked_again = self._clock() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    @property
    def _in_pause(self) -> bool:
        return self._clock() < self._asked_again

    def _missing(self, size: int) -> str:
        if size <= self._limit - self._taken:
            left = self._asked_again - self._clock()
            return (
                f"the GPU was full, and is asked for the {size:,} bytes of a copy in {left:.0f} s: "
                "have others take less of it"
            )
        return (
            f"a copy of {size:,} bytes is more than the {self._limit - self._taken:,} that are "
            f"left of the {self._limit:,} that index_gpu_memory_bytes allows: allow more, "
            "or have fewer indexes that a GPU holds"
        )
