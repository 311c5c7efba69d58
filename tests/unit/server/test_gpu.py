from __future__ import annotations

from types import SimpleNamespace

import pynvml
from groundwire_server.observability.gpu import GpuReadings
from prometheus_client import CollectorRegistry, generate_latest


class TwoGpus:
    """A driver with two GPUs, the second of which tells no power."""

    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802
        return number

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(used=10 + gpu, total=100)

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpu=50)

    def nvmlDeviceGetTemperature(self, gpu: int, sensor: int) -> int:  # noqa: N802
        return 60

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:  # noqa: N802
        if gpu == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return 250_000


class NoDriver:
    def nvmlInit(self) -> None:  # noqa: N802
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)


def scraped(readings: GpuReadings) -> list[str]:
    registry = CollectorRegistry()
    registry.register(readings)
    return [line for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]


def test_each_gpu_is_read_as_far_as_it_can_be() -> None:
    assert scraped(GpuReadings(TwoGpus())) == [
        'groundwire_gpu_memory_used_bytes{gpu="0"} 10.0',
        'groundwire_gpu_memory_used_bytes{gpu="1"} 11.0',
        'groundwire_gpu_memory_total_bytes{gpu="0"} 100.0',
        'groundwire_gpu_memory_total_bytes{gpu="1"} 100.0',
        'groundwire_gpu_utilization_ratio{gpu="0"} 0.5',
        'groundwire_gpu_utilization_ratio{gpu="1"} 0.5',
        'groundwire_gpu_temperature_celsius{gpu="0"} 60.0',
        'groundwire_gpu_temperature_celsius{gpu="1"} 60.0',
        'groundwire_gpu_power_watts{gpu="0"} 250.0',
    ]


def test_without_a_driver_there_is_nothing_to_report() -> None:
    assert scraped(GpuReadings(NoDriver())) == []
    for line in scraped(GpuReadings()):
        assert line.startswith("groundwire_gpu_")
