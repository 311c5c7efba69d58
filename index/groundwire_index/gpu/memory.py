"""How much of a GPU's memory copies of indexes may take."""

from __future__ import annotations

import threading

from groundwire_index.gpu.device import DeviceError, Reason


class Budget:
    """Bytes to give out. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._changing = threading.Lock()

    @property
    def free(self) -> int:
        """What is left, less than nothing where the GPU had less than it should."""
        return self._limit - self._taken

    def take(self, size: int) -> None:
        """Take so much; DeviceError if it is not there."""
        with self._changing:
            if size > self.free:
                raise DeviceError(
                    Reason.OUT_OF_MEMORY,
                    f"a copy of {size:,} bytes is more than the {max(self.free, 0):,} that are "
                    f"left of the {self._limit:,} that index_gpu_memory_bytes allows: allow more, "
                    "or have fewer indexes that a GPU holds",
                )
            self._taken += size

    def give(self, size: int) -> None:
        """Give back what was taken."""
        with self._changing:
            self._taken -= size

    def exhausted(self, size: int) -> None:
        """The GPU had no room for what was taken: give it back, and ask for no more than that."""
        with self._changing:
            self._taken -= size
            self._limit = min(self._limit, self._taken)
