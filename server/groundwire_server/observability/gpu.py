"""Readings of the machine's NVIDIA GPUs, where there are any."""

from __future__ import annotations

from collections.abc import Iterator

import pynvml
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class GpuReadings(Collector):
    """Asks the driver at each scrape. Without a driver there is nothing to report."""

    def __init__(self) -> None:
        try:
            pynvml.nvmlInit()
            self._gpus = [
                pynvml.nvmlDeviceGetHandleByIndex(index)
                for index in range(pynvml.nvmlDeviceGetCount())
            ]
        except pynvml.NVMLError:
            self._gpus = []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Used and total memory in bytes, utilisation from 0 to 1, degrees Celsius, watts."""
        if not self._gpus:
            return
        used = _family("memory_used_bytes", "GPU memory in use.")
        total = _family("memory_total_bytes", "GPU memory.")
        busy = _family("utilization_ratio", "Share of the time in which the GPU computed.")
        heat = _family("temperature_celsius", "Temperature of the GPU.")
        power = _family("power_watts", "Power drawn by the GPU.")
        for number, gpu in enumerate(self._gpus):
            label = (str(number),)
            memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
            used.add_metric(label, memory.used)
            total.add_metric(label, memory.total)
            busy.add_metric(label, pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)
            heat.add_metric(
                label, pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU)
            )
            power.add_metric(label, pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000)
        yield from (used, total, busy, heat, power)


def _family(name: str, help_text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"groundwire_gpu_{name}", help_text, labels=("gpu",))
