"""What is kept of usage, as the settings say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groundwire_server.components import Component
from groundwire_server.interceptors.method import Interceptor
from groundwire_server.interceptors.usage import UsageCounting, uncounted
from groundwire_server.memory.redis_keeper import RedisKeeper
from groundwire_server.observability.usage import UsageMetrics
from groundwire_server.settings import Settings
from groundwire_server.upkeep import UsageUpkeep
from groundwire_server.usage.ledger import Ledger
from groundwire_server.usage.redis_usage import RedisUsage
from groundwire_server.usage.report import NoReports, Reports, UsageReports


@dataclass(frozen=True, slots=True)
class KeptUsage:
    """Who counts calls, who reports them, and the components that this takes."""

    counting: Interceptor
    reports: UsageReports
    components: Sequence[Component]


def kept_usage(
    settings: Settings, redis_url: str, keeper: RedisKeeper | None, metrics: UsageMetrics
) -> KeptUsage:
    """Usage on the Redis behind a URL, which ``keeper`` runs, if it is one of our own."""
    if not settings.usage_days:
        return KeptUsage(uncounted, NoReports(), ())
    store = RedisUsage(
        redis_url,
        days=settings.usage_days,
        subjects=settings.usage_subjects,
        keeper=keeper,
        timeout_s=settings.redis_timeout_s,
    )
    ledger = Ledger(store, subjects=settings.usage_subjects, on_dropped=metrics.on_dropped)
    return KeptUsage(
        UsageCounting(ledger),
        Reports(ledger, store, days=settings.usage_days),
        (store, UsageUpkeep(ledger, metrics.on_failure)),
    )
