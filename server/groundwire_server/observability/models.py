"""How each model stands: what waits for it, what it refuses, and what is expected of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from groundwire_server.engines.breaker import BreakerState
from groundwire_server.engines.fair_queue import FairQueue
from groundwire_server.engines.served_model import Targets


class Served(Protocol):
    """A model, as far as it is reported."""

    @property
    def model(self) -> str:
        """The name that requests use."""
        ...

    @property
    def queue(self) -> FairQueue:
        """What is before it."""
        ...

    @property
    def breaker(self) -> BreakerState:
        """Whether it gets requests."""
        ...

    @property
    def targets(self) -> Targets:
        """What is expected of it."""
        ...


class ModelReadings(Collector):
    """Asks the models at each scrape."""

    def __init__(self, models: Iterable[Served]) -> None:
        self._models = tuple(models)

    def collect(self) -> Iterator[Metric]:
        """The queue, the refusals, the breaker and the targets of each model."""
        yield from self._queues()
        yield self._refusals()
        yield self._breakers()
        yield from self._targets()

    def _queues(self) -> Iterator[Metric]:
        running = _gauge("running_requests", "Requests that a model works on.")
        requests = _gauge("waiting_requests", "Requests that wait for their turn.")
        tokens = _gauge("waiting_tokens", "Prompt tokens of the requests that wait.")
        for served in self._models:
            waiting = served.queue.waiting
            running.add_metric([served.model], served.queue.running)
            requests.add_metric([served.model], waiting.requests)
            tokens.add_metric([served.model], waiting.tokens)
        yield from (running, requests, tokens)

    def _refusals(self) -> Metric:
        refusals = CounterMetricFamily(
            "groundwire_model_refusals",
            "Requests that were not let wait, by reason.",
            labels=("model", "reason"),
        )
        for served in self._models:
            for reason, count in served.queue.refusals.items():
                refusals.add_metric([served.model, reason], count)
        return refusals

    def _breakers(self) -> Metric:
        breakers = _gauge("breaker", "1 for the state that the breaker is in.", "state")
        for served in self._models:
            for state in BreakerState:
                breakers.add_metric([served.model, state.value], served.breaker is state)
        return breakers

    def _targets(self) -> Iterator[Metric]:
        latency = _gauge("latency_target_seconds", "What 95 of 100 answers should take at most.")
        throughput = _gauge("throughput_target", "Answers that it should give each second.")
        for served in self._models:
            if served.targets.latency_s is not None:
                latency.add_metric([served.model], served.targets.latency_s)
            if served.targets.throughput is not None:
                throughput.add_metric([served.model], served.targets.throughput)
        yield from (latency, throughput)


def _gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"groundwire_model_{name}", meaning, labels=("model", *labels))
