"""The copy of an index on a GPU, from when it is wanted until nobody holds it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress

from groundwire_index.ann import Asked, Bitmap
from groundwire_index.gpu.device import Copy, Device, DeviceError, Found, Reason
from groundwire_index.gpu.memory import Budget
from groundwire_index.gpu.owner import PATIENCE_S, Owner

Make = Callable[[Device], Copy]


class _Place:
    """Where a copy comes to be. The owner's thread alone changes it."""

    def __init__(self, make: Make, size: int, budget: Budget) -> None:
        self._make = make
        self._budget = budget
        self.size = size
        self.copy: Copy | None = None

    def fill(self, device: Device) -> None:
        """Make the copy. Raises DeviceError."""
        self._budget.take(self.size)
        try:
            self.copy = self._make(device)
        except DeviceError:
            self._budget.exhausted(self.size)
            raise
        self._budget.fitted()

    def clear(self, device: Device) -> None:
        """Give the memory back."""
        del device
        if self.copy is not None:
            self.copy = None
            self._budget.give(self.size)


class Resident:
    """One index's copy. Thread-safe."""

    def __init__(self, owner: Owner, budget: Budget, make: Make, size: int) -> None:
        self._owner = owner
        self._budget = budget
        self._place = _Place(make, size, budget)
        self.loading = owner.call(self._place.fill)
        """Done when there is a copy; DeviceError when there is none for now."""
        weakref.finalize(self, owner.call, self._place.clear).atexit = False

    def search(self, asked: Asked, allowed: Bitmap | None) -> Found:
        """What the copy finds. DeviceError where there is none."""
        copy = self._place.copy
        if copy is None:
            raise self._missing()
        return self._owner.search(copy, asked, allowed)

    def close(self) -> None:
        """Give the memory back now."""
        with suppress(DeviceError, TimeoutError):
            self._owner.call(self._place.clear).result(PATIENCE_S)

    def _missing(self) -> DeviceError:
        if not self.loading.done():
            return DeviceError(Reason.LOADING, "the index is being copied to the GPU")
        error = self.loading.exception()
        if not isinstance(error, DeviceError):
            return DeviceError(Reason.CLOSING, "the index is being closed")
        if error.reason is Reason.OUT_OF_MEMORY and self._budget.free >= self._place.size:
            # Another index has gone, or it is time to ask the GPU again.
            self.loading = self._owner.call(self._place.fill)
        return error.again()
