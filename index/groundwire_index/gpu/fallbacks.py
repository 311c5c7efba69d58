"""Says that the CPU answers in a GPU's place: each time to who counts, once for each reason to
who reads the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from groundwire_index.gpu.device import DeviceError, Reason

Observe = Callable[[str], None]
"""Is told the reason, one of `Reason`'s words, of every search and build that the CPU does."""

_log = logging.getLogger(__name__)


class Fallbacks:
    """Tells them. Thread-safe."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        # That it is so at the beginning and at the end is no news.
        self._told: set[Reason] = {Reason.LOADING, Reason.CLOSING}
        self._telling = threading.Lock()

    def tell(self, error: DeviceError) -> None:
        """The CPU does what this says a GPU does not."""
        self._observe(error.reason.value)
        with self._telling:
            if error.reason in self._told:
                return
            self._told.add(error.reason)
        _log.warning(
            "indexes are searched and built by the CPU where a GPU should do it (%s): %s",
            error.reason.value,
            error,
        )
