"""What is measured of keeping usage."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class UsageMetrics:
    """Whether what is counted of calls reaches the store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failures = Counter(
            "groundwire_usage_failures",
            "Times that the counts of usage could not be stored, and were held until later.",
            registry=registry,
        )
        self._dropped = Counter(
            "groundwire_usage_dropped_calls",
            "Calls that are missing in the usage, because too many counts were held already.",
            registry=registry,
        )

    def on_failure(self) -> None:
        """Count an attempt to store."""
        self._failures.inc()

    def on_dropped(self) -> None:
        """Count a call."""
        self._dropped.inc()
