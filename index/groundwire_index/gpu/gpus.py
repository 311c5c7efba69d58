"""The GPUs of an index, and what stands in where none are wanted or there.

`running` has those that are there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from groundwire_index.ann import Ann, Asked, Bitmap, linked_by_cpu, trained_by_cpu
from groundwire_index.ann.geometry import Points
from groundwire_index.ann.linking import Links
from groundwire_index.gpu.ann import GpuAnn, Portable
from groundwire_index.gpu.device import DeviceError, Found, Reason
from groundwire_index.gpu.fallbacks import Fallbacks
from groundwire_index.gpu.points import HeldPoints
from groundwire_index.storage.segment_file import Matrix

# The CPU answers sooner where there is less to search, or to link.
LEAST = 1024


class Gpus(Protocol):
    """What GPUs there are does. Thread-safe."""

    @property
    def why_none(self) -> str:
        """Why there is no GPU; "" if there is one."""

    def accelerated(self, ann: Ann) -> Ann:
        """The index, answered by a GPU where it can be. Copied while others go on."""

    def held(self, points: Points, longest: float) -> HeldPoints | None:
        """Points to compare with queries on a GPU; None without one. Copied while others go on."""

    def link(
        self, points: Matrix, degree: int, distance: int, cancelled: Callable[[], bool]
    ) -> Links:
        """A graph's links, by a GPU where it can; see `ann.linking.Link`."""

    def train(self, index: Any, sample: Matrix) -> None:
        """Have codes learn from a sample, by a GPU where it can; see `ann.codes.Train`."""

    def close(self) -> None:
        """Let all GPUs go. What is asked from now on, the CPU answers."""


class NoGpus:
    """Nobody wants one."""

    why_none = "index_gpu is off"

    def accelerated(self, ann: Ann) -> Ann:
        """See `Gpus`."""
        return ann

    def held(self, points: Points, longest: float) -> HeldPoints | None:
        """The CPU compares."""
        del points, longest
        return None

    def link(
        self, points: Matrix, degree: int, distance: int, cancelled: Callable[[], bool]
    ) -> Links:
        """See `Gpus`."""
        return linked_by_cpu(points, degree, distance, cancelled)

    def train(self, index: Any, sample: Matrix) -> None:
        """See `Gpus`."""
        trained_by_cpu(index, sample)

    def close(self) -> None:
        """There is nothing to let go."""


class AbsentGpus:
    """One is wanted, and there is none."""

    def __init__(self, why: str, fallbacks: Fallbacks) -> None:
        self.why_none = why
        self._fallbacks = fallbacks

    def accelerated(self, ann: Ann) -> Ann:
        """See `Gpus`."""
        if not isinstance(ann, Portable) or ann.size < LEAST:
            return ann
        return GpuAnn(ann, self, self._fallbacks)

    def search(self, asked: Asked, allowed: Bitmap | None) -> Found:
        """See `Searcher`."""
        del asked, allowed
        raise self._error()

    def held(self, points: Points, longest: float) -> HeldPoints | None:
        """The CPU compares."""
        del points, longest
        return None

    def link(
        self, points: Matrix, degree: int, distance: int, cancelled: Callable[[], bool]
    ) -> Links:
        """See `Gpus`."""
        if len(points) >= LEAST:
            self._fallbacks.tell(self._error())
        return linked_by_cpu(points, degree, distance, cancelled)

    def train(self, index: Any, sample: Matrix) -> None:
        """See `Gpus`."""
        self._fallbacks.tell(self._error())
        trained_by_cpu(index, sample)

    def close(self) -> None:
        """There is nothing to let go."""

    def _error(self) -> DeviceError:
        return DeviceError(Reason.ABSENT, self.why_none)
