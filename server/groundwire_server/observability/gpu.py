"""Readings of the machine's NVIDIA GPUs, where there are any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pynvml
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_Read = Callable[[Any, Any], float]


class GpuReadings(Collector):
    """Asks the driver at each scrape. Without a driver there is nothing to report.

    GPUs go by their number. Of one that is cut up (MIG) the instances have the memory, "0:1" for
    the second of the first GPU; the rest is read of the whole. What cannot be read is left out.
    """

    def __init__(self, nvml: Any = pynvml) -> None:
        self._nvml = nvml
        self._gpus: dict[str, Any] = {}
        with suppress(pynvml.NVMLError):
            nvml.nvmlInit()
            for number in range(nvml.nvmlDeviceGetCount()):
                # One that is lost does not hide the others.
                with suppress(pynvml.NVMLError):
                    self._gpus[str(number)] = nvml.nvmlDeviceGetHandleByIndex(number)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge a reading, with a sample for each GPU that has it."""
        if not self._gpus:
            return
        memories = dict(self._memories())
        for name, (meaning, read) in _OF_MEMORY.items():
            yield self._family(name, meaning, memories, read)
        for name, (meaning, read) in _OF_GPU.items():
            yield self._family(name, meaning, self._gpus, read)

    def _family(
        self, name: str, meaning: str, gpus: dict[str, Any], read: _Read
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"groundwire_gpu_{name}", meaning, labels=("gpu",))
        for label, gpu in gpus.items():
            with suppress(pynvml.NVMLError):
                family.add_metric((label,), read(self._nvml, gpu))
        return family

    def _memories(self) -> Iterator[tuple[str, Any]]:
        """What has memory of its own: whole GPUs, and the instances of those that are cut up."""
        for label, gpu in self._gpus.items():
            instances = dict(self._instances(label, gpu))
            yield from (instances or {label: gpu}).items()

    def _instances(self, label: str, gpu: Any) -> Iterator[tuple[str, Any]]:
        nvml = self._nvml
        try:
            mode, _ = nvml.nvmlDeviceGetMigMode(gpu)
            most = nvml.nvmlDeviceGetMaxMigDeviceCount(gpu) if mode else 0
        except pynvml.NVMLError:  # Most GPUs know nothing of it.
            return
        for number in range(most):
            with suppress(pynvml.NVMLError):
                instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, number)
                yield f"{label}:{number}", instance


_OF_MEMORY: dict[str, tuple[str, _Read]] = {
    "memory_used_bytes": (
        "GPU memory in use.",
        lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used,
    ),
    "memory_total_bytes": (
        "GPU memory.",
        lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total,
    ),
}
_OF_GPU: dict[str, tuple[str, _Read]] = {
    "utilization_ratio": (
        "Share of the time in which the GPU computed, 0 to 1.",
        lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
    ),
    "temperature_celsius": (
        "Temperature of the GPU.",
        lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
    ),
    "power_watts": (
        "Power that the GPU draws.",
        lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    ),
}
