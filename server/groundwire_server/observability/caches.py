"""What is measured of the caches."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class CacheMetrics:
    """Of one cache, by its name."""

    def __init__(self, registry: CollectorRegistry, cache: str) -> None:
        lookups = Counter(
            "groundwire_cache_lookups",
            "Values that were looked for in a cache, by whether they were there.",
            ("cache", "outcome"),
            registry=registry,
        )
        self._hits = lookups.labels(cache, "hit")
        self._misses = lookups.labels(cache, "miss")
        self._bypasses = Counter(
            "groundwire_cache_bypasses",
            "Calls that did without a cache because it did not answer.",
            registry=registry,
        )

    def on_lookup(self, hits: int, misses: int) -> None:
        """Count values."""
        self._hits.inc(hits)
        self._misses.inc(misses)

    def on_bypass(self) -> None:
        """Count a call."""
        self._bypasses.inc()
