"""GPUs that are there: each index is copied to the one that has most room."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from groundwire_index.ann import Ann, linked_by_cpu, trained_by_cpu
from groundwire_index.ann.geometry import Points
from groundwire_index.ann.linking import Links
from groundwire_index.gpu.ann import GpuAnn, Portable
from groundwire_index.gpu.device import Copy, Device, DeviceError, Reason
from groundwire_index.gpu.faiss_device import FaissDevice, count_devices
from groundwire_index.gpu.fallbacks import Fallbacks, Observe
from groundwire_index.gpu.gpus import LEAST, AbsentGpus, Gpus
from groundwire_index.gpu.memory import Budget
from groundwire_index.gpu.owner import Owner
from groundwire_index.gpu.points import HeldPoints
from groundwire_index.gpu.resident import Make, Resident
from groundwire_index.storage.segment_file import Matrix

# Points that are copied at once.
_PIECE = 16_384

_log = logging.getLogger(__name__)


class Gpu:
    """One GPU: a thread that searches, one that links, and memory that is shared out."""

    def __init__(
        self,
        number: int,
        make: Callable[[int], Device],
        memory_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = Budget(memory_bytes, clock)
        self.searching = Owner(f"groundwire-gpu-{number}", lambda: make(number))
        # With resources of its own: a graph takes minutes to link, and searches do not wait.
        self.linking = Owner(f"groundwire-gpu-{number}-link", lambda: make(number))


class RunningGpus:
    """There are some: each index is on the one that has most room."""

    why_none = ""

    def __init__(self, gpus: Sequence[Gpu], fallbacks: Fallbacks) -> None:
        self._gpus = gpus
        self._fallbacks = fallbacks
        self._residents: weakref.WeakSet[Resident] = weakref.WeakSet()

    def accelerated(self, ann: Ann) -> Ann:
        """See `Gpus`."""
        if not isinstance(ann, Portable) or ann.size < LEAST:
            return ann
        index = ann.index
        resident = self._resident(lambda device: device.copy(index), ann.bytes)
        return GpuAnn(ann, resident, self._fallbacks)

    def held(self, points: Points, longest: float) -> HeldPoints | None:
        """See `Gpus`."""
        geometry = points.geometry

        def copy(device: Device) -> Copy:
            return device.copy_points(points.pieces(_PIECE), geometry.width, geometry.distance)

        resident = self._resident(copy, 4 * geometry.width * points.count)
        return HeldPoints(geometry, points.count, longest, resident, self._fallbacks)

    def link(
        self, points: Matrix, degree: int, distance: int, cancelled: Callable[[], bool]
    ) -> Links:
        """See `Gpus`."""
        if len(points) >= LEAST:
            try:
                linking = self._roomiest().linking
                return linking.call(lambda device: device.link(points, degree, distance)).result()
            except DeviceError as error:
                self._fallbacks.tell(error)
        return linked_by_cpu(points, degree, distance, cancelled)

    def train(self, index: Any, sample: Matrix) -> None:
        """See `Gpus`."""
        try:
            linking = self._roomiest().linking
            linking.call(lambda device: device.train(index, sample)).result()
        except DeviceError as error:
            self._fallbacks.tell(error)
            trained_by_cpu(index, sample)

    def close(self) -> None:
        """See `Gpus`."""
        for resident in list(self._residents):
            resident.close()
        for gpu in self._gpus:
            gpu.linking.close()
            gpu.searching.close()

    def _resident(self, make: Make, size: int) -> Resident:
        gpu = self._roomiest()
        resident = Resident(gpu.searching, gpu.budget, make, size)
        self._residents.add(resident)
        return resident

    def _roomiest(self) -> Gpu:
        return max(self._gpus, key=lambda gpu: gpu.budget.free)


def open_gpus(numbers: Sequence[int] | None, memory_bytes: int, observe: Observe) -> Gpus:
    """The GPUs of these CUDA numbers (None: all); what is not there is told and counted.

    Copies of indexes take at most ``memory_bytes`` of each.
    """
    fallbacks = Fallbacks(observe)
    try:
        count = count_devices()
        wanted = range(count) if numbers is None else numbers
        missing = [number for number in wanted if number >= count]
        if missing:
            raise DeviceError(Reason.ABSENT, f"there is no GPU {missing[0]}, only {count} of them")
    except DeviceError as error:
        if numbers is not None:
            _log.warning("index_gpu: %s; the CPU does the work", error)
        return AbsentGpus(str(error), fallbacks)
    _log.info("indexes use GPU %s", ", ".join(map(str, wanted)))
    return RunningGpus([Gpu(number, FaissDevice, memory_bytes) for number in wanted], fallbacks)
