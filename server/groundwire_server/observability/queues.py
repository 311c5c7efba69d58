"""What waits for each model, and what was not let wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from groundwire_server.waiting import Waiting


class ModelQueue(Protocol):
    """The queue of one model."""

    @property
    def model(self) -> str:
        """Whose queue this is."""
        ...

    @property
    def running(self) -> int:
        """Requests that have the model."""
        ...

    @property
    def waiting(self) -> Waiting:
        """Requests that wait for it."""
        ...

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many were refused, by reason."""
        ...


class ModelQueues(Collector):
    """Asks the queues at each scrape."""

    def __init__(self, queues: Sequence[ModelQueue]) -> None:
        self._queues = queues

    def collect(self) -> Iterator[Metric]:
        """One sample for each queue, and of refusals one for each reason."""
        running = _gauge("running_requests", "Requests that a model works on.")
        requests = _gauge("waiting_requests", "Requests that wait for their turn.")
        tokens = _gauge("waiting_tokens", "Prompt tokens of the requests that wait.")
        refusals = CounterMetricFamily(
            "groundwire_model_refusals",
            "Requests that were not let wait, by reason.",
            labels=("model", "reason"),
        )
        for queue in self._queues:
            waiting = queue.waiting
            running.add_metric([queue.model], queue.running)
            requests.add_metric([queue.model], waiting.requests)
            tokens.add_metric([queue.model], waiting.tokens)
            for reason, count in queue.refusals.items():
                refusals.add_metric([queue.model, reason], count)
        yield from (running, requests, tokens, refusals)


def _gauge(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"groundwire_model_{name}", meaning, labels=("model",))
