"""What is measured of searches that clients ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Histogram

from groundwire_server.tracing import part

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class SearchMetrics:
    """The phases of Search and SearchBatch: from text to vector, and from vector to hits."""

    def __init__(self, registry: CollectorRegistry) -> None:
        phases = Histogram(
            "groundwire_search_phase_seconds",
            "Time of each phase of a search.",
            ("phase",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._embed = phases.labels("embed")
        self._search = phases.labels("search")

    @contextmanager
    def embedding(self) -> Iterator[None]:
        """Time what turns texts into vectors, waiting included, unless it fails."""
        began = perf_counter()
        with part("embed"):
            yield
        self._embed.observe(perf_counter() - began)

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Time what finds records, waiting for a thread included, unless it fails."""
        began = perf_counter()
        with part("retrieve"):
            yield
        self._search.observe(perf_counter() - began)
