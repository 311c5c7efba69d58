"""What is measured of the embedder's batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from groundwire_server.embedders.batcher import Batch
from groundwire_server.waiting import Waiting

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TEXTS = tuple(2**power for power in range(11))
_TOKENS = tuple(2**power for power in range(3, 17))


class EmbedderMetrics:
    """Told of each batch, in the embedder's thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
            name = f"groundwire_embedder_{name}"
            return Histogram(name, meaning, buckets=buckets, registry=registry)

        self._registry = registry
        self.texts = histogram("batch_texts", "Texts in a batch of the embedder.", _TEXTS)
        self.tokens = histogram("batch_tokens", "Tokens in a batch, without padding.", _TOKENS)
        self.seconds = histogram("batch_seconds", "Time of the model for a batch.", _SECONDS)
        self.wait = histogram(
            "wait_seconds", "Time that a call waits until its first text is in a batch.", _SECONDS
        )

    def on_batch(self, batch: Batch) -> None:
        """Measure a batch that is done."""
        self.texts.observe(batch.texts)
        self.tokens.observe(batch.tokens)
        self.seconds.observe(batch.seconds)
        for waited_s in batch.waited_s:
            self.wait.observe(waited_s)

    def observe_queue(self, waiting: Callable[[], Waiting]) -> None:
        """Report what waits for the embedder, asked for at each scrape."""
        self._registry.register(_Queue(waiting))


class _Queue(Collector):
    def __init__(self, waiting: Callable[[], Waiting]) -> None:
        self._waiting = waiting

    def collect(self) -> Iterator[GaugeMetricFamily]:
        waiting = self._waiting()
        yield GaugeMetricFamily(
            "groundwire_embedder_waiting_requests",
            "Calls with texts that are in no batch yet.",
            value=waiting.requests,
        )
        yield GaugeMetricFamily(
            "groundwire_embedder_waiting_tokens", "Tokens of these texts.", value=waiting.tokens
        )
