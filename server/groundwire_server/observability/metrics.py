"""The Prometheus metrics of one server, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

import psutil
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from groundwire_server.components import Condition, State
from groundwire_server.observability.caches import CacheMetrics
from groundwire_server.observability.embedding import EmbedderMetrics
from groundwire_server.observability.generation import GenerationMetrics
from groundwire_server.observability.search import SearchMetrics
from groundwire_server.observability.sessions import SessionMetrics
from groundwire_server.observability.usage import UsageMetrics

# Seconds: a cached look-up at one end, a long answer at the other.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class Metrics:
    """What is counted and measured. Names and labels are an interface: see docs/metrics.md."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "groundwire_requests",
            "Calls that have ended, by status code.",
            ("service", "method", "code"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "groundwire_request_seconds",
            "Time that a call takes in the server.",
            ("service", "method"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "groundwire_requests_in_flight",
            "Calls in progress.",
            ("service", "method"),
            registry=self.registry,
        )
        self.gpu_fallbacks = Counter(
            "groundwire_index_gpu_fallbacks",
            "Searches of an index, and builds, that the CPU did in a GPU's place.",
            ("reason",),
            registry=self.registry,
        )
        self.embedder = EmbedderMetrics(self.registry)
        self.search = SearchMetrics(self.registry)
        self.caches = CacheMetrics(self.registry)
        self.generation = GenerationMetrics(self.registry)
        self.sessions = SessionMetrics(self.registry)
        self.usage = UsageMetrics(self.registry)
        Info("groundwire_build", "This build of Groundwire.", registry=self.registry).info(
            {"version": version("groundwire")}
        )
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_ProcessTree())

    def observe_components(self, conditions: Callable[[], Sequence[Condition]]) -> None:
        """Report the state of the components, asked for at each scrape."""
        self.registry.register(_ComponentStates(conditions))


def resident_bytes() -> int:
    """Resident memory of this process and of all it has started, in bytes."""
    this = psutil.Process()
    return sum(map(_resident_bytes, (this, *this.children(recursive=True))))


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


class _ProcessTree(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily(
            "groundwire_resident_memory_bytes",
            "Resident memory of the server and of the processes it has started.",
            value=resident_bytes(),
        )


class _ComponentStates(Collector):
    def __init__(self, conditions: Callable[[], Sequence[Condition]]) -> None:
        self._conditions = conditions

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "groundwire_component_ready",
            "1 if the component works, 0 if it is starting or has failed.",
            labels=("component",),
        )
        for condition in self._conditions():
            family.add_metric((condition.name,), float(condition.state is State.READY))
        yield family
