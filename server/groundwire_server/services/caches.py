"""What the caches hold for a tenant: told, and removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from groundwire.v1 import admin_service_pb2 as pb
from groundwire_index.errors import FailedPreconditionError

from groundwire_server.caching.cache import CacheContents
from groundwire_server.observability.caches import CacheCounts


@dataclass(frozen=True, slots=True)
class TenantCache:
    """One cache: what it holds, and what was looked for in it."""

    contents: CacheContents
    counts: CacheCounts


async def cache_stats(caches: Mapping[str, TenantCache], tenant: str) -> pb.GetCacheStatsResponse:
    """What each cache holds for a tenant, and did for it."""
    _require_caches(caches)
    stats = pb.GetCacheStatsResponse()
    for name, cache in sorted(caches.items()):
        lookups = cache.counts.of(tenant)
        stats.caches.add(
            cache=name,
            entries=await cache.contents.count(tenant),
            hits=lookups.hits,
            semantic_hits=lookups.semantic_hits,
            misses=lookups.misses,
            shared=lookups.shared,
        )
    return stats


async def clear_caches(caches: Mapping[str, TenantCache], tenant: str) -> pb.ClearCacheResponse:
    """Remove what all caches hold for a tenant."""
    _require_caches(caches)
    return pb.ClearCacheResponse(
        entries=sum([await cache.contents.clear(tenant) for cache in caches.values()])
    )


def _require_caches(caches: Mapping[str, TenantCache]) -> None:
    if not caches:
        raise FailedPreconditionError(
            "nothing is cached here: the setting cache_bytes is 0", reason="NO_CACHE"
        )
