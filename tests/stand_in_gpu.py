"""A GPU that is none: FAISS's CPU indexes behind `Device`, for what goes on around a device.

It keeps to what a real one asks for (one thread, an effort that suffices) and can be told to fail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import faiss
import numpy as np
import pytest
from groundwire_index.ann import Asked, Bitmap, linked_by_cpu
from groundwire_index.ann.codes import train_with
from groundwire_index.ann.linking import Links
from groundwire_index.gpu.device import Copy, DeviceError, Found, Reason
from groundwire_index.gpu.fallbacks import Fallbacks
from groundwire_index.gpu.running import Gpu, RunningGpus, open_gpus
from groundwire_index.storage.segment_file import Matrix

WHY_NO_GPU = open_gpus(None, 2**20, str).why_none
needs_gpu = pytest.mark.skipif(bool(WHY_NO_GPU), reason=f"no GPU: {WHY_NO_GPU}")
NO_MEMORY = DeviceError(Reason.OUT_OF_MEMORY, "cudaMalloc error out of memory [2]")
BROKEN = DeviceError(Reason.FAILED, "CUDA error 700 an illegal memory access was encountered")


class StandIn:
    """What all devices of a test share: what they were asked, and what they are to do."""

    def __init__(self) -> None:
        self.searches: list[int] = []
        """Queries of each search, in order."""
        self.copied: list[str] = []
        self.linked: list[int] = []
        self.trained: list[int] = []
        self.before_train: Callable[[], None] = lambda: None
        self.before_begin: Callable[[], None] = lambda: None
        self.before_search: Callable[[], None] = lambda: None
        self.before_copy: Callable[[], None] = lambda: None
        self.before_link: Callable[[], None] = lambda: None
        self.changed: Callable[[np.ndarray], np.ndarray] = lambda positions: positions
        self.ignores_filters = False

    def device(self, number: int) -> StandInDevice:
        self.before_begin()
        return StandInDevice(self)

    def gpus(
        self,
        *,
        count: int = 1,
        memory: int = 2**30,
        observe: Callable[[str], None] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> RunningGpus:
        parts = [Gpu(number, self.device, memory, clock) for number in range(count)]
        return RunningGpus(parts, Fallbacks(observe))


class StandInDevice:
    """See `Device`."""

    def __init__(self, shared: StandIn) -> None:
        self.shared = shared
        self.thread = threading.get_ident()

    def copy(self, index: Any) -> Copy:
        self.require_owner()
        self.shared.before_copy()
        self.shared.copied.append(type(index).__name__)
        return StandInCopy(self, index)

    def copy_points(self, pieces: Iterable[Matrix], width: int, distance: int) -> Copy:
        self.require_owner()
        self.shared.before_copy()
        index = faiss.IndexFlat(width, distance)
        for piece in pieces:
            index.add(piece)
        self.shared.copied.append("points")
        return StandInCopy(self, index)

    def train(self, index: Any, sample: Matrix) -> None:
        self.require_owner()
        self.shared.before_train()
        self.shared.trained.append(len(sample))
        train_with(index, sample, faiss.IndexFlatL2(index.pq.dsub))

    def link(self, points: Matrix, degree: int, distance: int) -> Links:
        self.require_owner()
        self.shared.before_link()
        self.shared.linked.append(len(points))
        return linked_by_cpu(points, degree, distance, lambda: False)

    def require_owner(self) -> None:
        assert threading.get_ident() == self.thread, "a device is touched by another thread"


class StandInCopy:
    """See `Copy`. A graph's vectors are all compared, which a GPU's walk comes close to."""

    def __init__(self, device: StandInDevice, index: Any) -> None:
        self.device = device
        self.index = index

    def search(self, asked: Asked, allowed: Bitmap | None) -> Found:
        shared = self.device.shared
        self.device.require_owner()
        shared.searches.append(len(asked.points))
        shared.before_search()
        selector = None
        if allowed is not None and not shared.ignores_filters:
            selector = faiss.IDSelectorBitmap(allowed)
        if isinstance(self.index, faiss.IndexIVF):
            parameters = faiss.SearchParametersIVF(nprobe=asked.effort, sel=selector)
            found = self.index.search(asked.points, asked.count, params=parameters)
        else:
            assert asked.effort >= asked.count or not isinstance(self.index, faiss.IndexHNSW)
            flat = faiss.downcast_index(getattr(self.index, "storage", self.index))
            parameters = faiss.SearchParameters(sel=selector)
            found = flat.search(asked.points, asked.count, params=parameters)
        return Found(found[0], shared.changed(found[1]))


def raising(error: Exception) -> Callable[[], None]:
    """A `before_…` that fails each time."""

    def fail() -> None:
        raise error

    return fail
