"""What is counted of the caches, of all tenants together and of each."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from prometheus_client import CollectorRegistry, Counter

from groundwire_server.grounding.events import CacheOutcome

# Tenants whose counts are kept: those that were seen last.
MOST_TENANTS = 1000


@dataclass(frozen=True, slots=True)
class Lookups:
    """What was looked for in one cache, and found."""

    hits: int = 0
    semantic_hits: int = 0
    misses: int = 0
    shared: int = 0


class CacheMetrics:
    """The metrics of all caches. Used on one event loop."""

    def __init__(self, registry: CollectorRegistry) -> None:
        lookups = Counter(
            "groundwire_cache_lookups",
            "What was looked for in a cache, by what was found.",
            ("cache", "outcome"),
            registry=registry,
        )
        self.embeddings = CacheCounts(lookups, "embedding", ("hit", "miss"))
        self.answers = CacheCounts(lookups, "answer", ("hit", "semantic_hit", "miss", "shared"))
        self._bypasses = Counter(
            "groundwire_cache_bypasses",
            "Calls that did without a cache because it did not answer.",
            registry=registry,
        )

    def on_bypass(self) -> None:
        """Count a call."""
        self._bypasses.inc()


class CacheCounts:
    """What was looked for in one cache."""

    def __init__(self, lookups: Counter, cache: str, outcomes: tuple[str, ...]) -> None:
        self._of_all = {outcome: lookups.labels(cache, outcome) for outcome in outcomes}
        self._tenants: OrderedDict[str, Lookups] = OrderedDict()

    def of(self, tenant: str) -> Lookups:
        """What one tenant has looked for, since the server has started."""
        return self._tenants.get(tenant, Lookups())

    def on_texts(self, tenant: str, hits: int, misses: int) -> None:
        """Count texts whose vectors were looked for."""
        self._of_all["hit"].inc(hits)
        self._of_all["miss"].inc(misses)
        before = self.of(tenant)
        self._set(tenant, replace(before, hits=before.hits + hits, misses=before.misses + misses))

    def on_answer(self, tenant: str, outcome: CacheOutcome | None) -> None:
        """Count an answer that was looked for; None: it had to be made."""
        before = self.of(tenant)
        match outcome:
            case CacheOutcome.EXACT:
                counted, after = "hit", replace(before, hits=before.hits + 1)
            case CacheOutcome.SEMANTIC:
                semantic_hits = before.semantic_hits + 1
                counted, after = "semantic_hit", replace(before, semantic_hits=semantic_hits)
            case CacheOutcome.SHARED:
                counted, after = "shared", replace(before, shared=before.shared + 1)
            case _:
                counted, after = "miss", replace(before, misses=before.misses + 1)
        self._of_all[counted].inc()
        self._set(tenant, after)

    def _set(self, tenant: str, counts: Lookups) -> None:
        self._tenants[tenant] = counts
        self._tenants.move_to_end(tenant)
        if len(self._tenants) > MOST_TENANTS:
            self._tenants.popitem(last=False)
