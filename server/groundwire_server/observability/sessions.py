"""What is counted of sessions."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from groundwire_server.memory.extraction.gate import Verdict
from groundwire_server.memory.retention import Swept

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class SessionMetrics:
    """What the server does by itself, and what it waits for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        removed = Counter(
            "groundwire_sessions_removed",
            "Sessions that retention has removed, by why.",
            ("reason",),
            registry=registry,
        )
        self._idle = removed.labels("idle")
        self._surplus = removed.labels("surplus")
        self._size = removed.labels("size")
        self._freed = Counter(
            "groundwire_session_forks_freed",
            "Expired forks whose hold on the turns that they shared was ended.",
            registry=registry,
        )
        self.on_step = Histogram(
            "groundwire_session_store_seconds",
            "Time of a command to the Redis of the sessions.",
            buckets=_BUCKETS,
            registry=registry,
        ).observe
        self._summaries = Counter(
            "groundwire_session_summaries",
            "Steps of bringing summaries up to date, by what came of them.",
            ("outcome",),
            registry=registry,
        )
        self._extractions = Counter(
            "groundwire_memory_extractions",
            "Looks for memories in what was said, by what came of them.",
            ("outcome",),
            registry=registry,
        )
        for outcome in ("made", "failed"):
            self._summaries.labels(outcome)
            self._extractions.labels(outcome)
        self._candidates = Counter(
            "groundwire_memory_candidates",
            "Memories that a model has proposed, by what became of them.",
            ("verdict",),
            registry=registry,
        )
        for verdict in Verdict:
            self._candidates.labels(verdict.value)

    def on_summary(self, outcome: str) -> None:
        """Count a step."""
        self._summaries.labels(outcome).inc()

    def on_candidate(self, verdict: str) -> None:
        """Count a memory that a model has proposed."""
        self._candidates.labels(verdict).inc()

    def on_extraction(self, outcome: str) -> None:
        """Count a look for memories."""
        self._extractions.labels(outcome).inc()

    def on_swept(self, swept: Swept) -> None:
        """Count what one pass over all sessions has removed."""
        self._idle.inc(swept.idle)
        self._surplus.inc(swept.surplus)
        self._size.inc(swept.size)
        self._freed.inc(swept.freed)
