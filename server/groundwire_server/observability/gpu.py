"""Readings of the machine's NVIDIA GPUs, where there are any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pynvml
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class GpuReadings(Collector):
    """Asks the driver at each scrape. Without a driver there is nothing to report."""

    def __init__(self, nvml: Any = pynvml) -> None:
        self._nvml = nvml
        self._gpus: list[Any] = []
        with suppress(pynvml.NVMLError):
            nvml.nvmlInit()
            count = nvml.nvmlDeviceGetCount()
            self._gpus = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge a reading, with a sample for each GPU that has it."""
        for name, (meaning, read) in _READINGS.items() if self._gpus else ():
            family = GaugeMetricFamily(f"groundwire_gpu_{name}", meaning, labels=("gpu",))
            for number, gpu in enumerate(self._gpus):
                # A slice of a GPU, for one, has no temperature.
                with suppress(pynvml.NVMLError):
                    family.add_metric((str(number),), read(self._nvml, gpu))
            yield family


_READINGS: dict[str, tuple[str, Callable[[Any, Any], float]]] = {
    "memory_used_bytes": (
        "GPU memory in use.",
        lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used,
    ),
    "memory_total_bytes": (
        "GPU memory.",
        lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total,
    ),
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
