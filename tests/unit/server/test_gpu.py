from __future__ import annotations

from types import SimpleNamespace

import pynvml
from groundwire_server.observability.gpu import GpuReadings
from prometheus_client import CollectorRegistry, generate_latest


def failure(code: int) -> pynvml.NVMLError:
    return pynvml.NVMLError(code)


class TwoGpus:
    """A driver with two GPUs, the second of which tells no power, and neither is cut up."""

    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802
        return number

    def nvmlDeviceGetMigMode(self, gpu: int) -> list[int]:  # noqa: N802
        raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(used=10 + gpu, total=100)

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpu=50)

    def nvmlDeviceGetTemperature(self, gpu: int, sensor: int) -> int:  # noqa: N802
        return 60

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:  # noqa: N802
        if gpu == 1:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return 250_000


class CutUp(TwoGpus):
    """The first GPU is cut into two of seven possible instances."""

    def nvmlDeviceGetMigMode(self, gpu: int) -> list[int]:  # noqa: N802
        return [1 - gpu, 1 - gpu]

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: int) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: int, number: int) -> int:  # noqa: N802
        if number not in (0, 3):
            raise failure(pynvml.NVML_ERROR_NOT_FOUND)
        return 20 + number

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        if gpu == 0:
            raise failure(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=50)


class FirstIsLost(TwoGpus):
    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802
        if number == 0:
            raise failure(pynvml.NVML_ERROR_GPU_IS_LOST)
        return number


class Dying(TwoGpus):
    """Works at first."""

    dead = False

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        if self.dead:
            raise failure(pynvml.NVML_ERROR_UNKNOWN)
        return super().nvmlDeviceGetMemoryInfo(gpu)

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        if self.dead:
            raise failure(pynvml.NVML_ERROR_UNKNOWN)
        return super().nvmlDeviceGetUtilizationRates(gpu)


class NoDriver:
    def nvmlInit(self) -> None:  # noqa: N802
        raise failure(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)


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


def test_a_gpu_that_is_cut_up_has_the_memory_of_its_instances() -> None:
    lines = scraped(GpuReadings(CutUp()))
    assert [line for line in lines if "memory_used" in line] == [
        'groundwire_gpu_memory_used_bytes{gpu="0:0"} 30.0',
        'groundwire_gpu_memory_used_bytes{gpu="0:3"} 33.0',
        'groundwire_gpu_memory_used_bytes{gpu="1"} 11.0',
    ]
    assert 'groundwire_gpu_utilization_ratio{gpu="1"} 0.5' in lines
    assert 'groundwire_gpu_power_watts{gpu="0"} 250.0' in lines


def test_a_gpu_that_is_lost_does_not_hide_the_others() -> None:
    gpus = {line.partition('gpu="')[2][0] for line in scraped(GpuReadings(FirstIsLost()))}
    assert gpus == {"1"}


def test_a_driver_that_fails_later_leaves_out_what_it_cannot_tell() -> None:
    driver = Dying()
    readings = GpuReadings(driver)
    whole = scraped(readings)
    driver.dead = True
    assert scraped(readings) == [line for line in whole if "temp" in line or "power" in line]
    driver.dead = False
    assert scraped(readings) == whole


def test_without_a_driver_there_is_nothing_to_report() -> None:
    assert scraped(GpuReadings(NoDriver())) == []
    for line in scraped(GpuReadings()):
        assert line.startswith("groundwire_gpu_")
