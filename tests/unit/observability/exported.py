"""Every metric that a server exports, composed as it is but not started."""

from __future__ import annotations

from groundwire_server.app import Groundwire
from groundwire_server.engines.served_model import Targets
from groundwire_server.interceptors.admission import Admission
from groundwire_server.observability.gpu import GpuReadings
from groundwire_server.observability.metrics import Metrics
from groundwire_server.settings import Settings
from prometheus_client import CollectorRegistry

from tests.unit.server.test_gpu import TwoGpus


def registry() -> CollectorRegistry:
    """The metrics of a server of whose models something is expected, on a machine with GPUs."""
    metrics = Metrics()
    metrics.registry.register(GpuReadings(TwoGpus()))
    application = Groundwire(Settings(vllm_model="small"), Admission(1), metrics)
    for model in application._models:
        model.targets = Targets(latency_s=1.0, throughput=1.0)
    metrics.observe_components(lambda: application.components.conditions)
    return metrics.registry
