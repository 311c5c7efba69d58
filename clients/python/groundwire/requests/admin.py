"""The server itself."""

from __future__ import annotations

from datetime import datetime

from groundwire.call import Pages, Unary, call
from groundwire.made import made
from groundwire.results import server as results
from groundwire.results import usage as usage_results
from groundwire.v1 import admin_service_pb2 as pb
from groundwire.values import to_stamp


def server_info(*, timeout: float | None = None) -> Unary[results.ServerInfo]:
    """What the server is, and the state of its parts."""
    return call(
        "AdminService/GetServerInfo",
        pb.GetServerInfoRequest(),
        pb.GetServerInfoResponse,
        results.server_info,
        timeout,
    )


def models(*, timeout: float | None = None) -> Unary[tuple[results.Model, ...]]:
    """The models that requests may name."""
    return call(
        "AdminService/ListModels",
        pb.ListModelsRequest(),
        pb.ListModelsResponse,
        results.models,
        timeout,
    )


def load(*, timeout: float | None = None) -> Unary[results.Load]:
    """What the server is doing now."""
    return call(
        "AdminService/GetLoad", pb.GetLoadRequest(), pb.GetLoadResponse, results.load, timeout
    )


def abort(request_id: str, *, timeout: float | None = None) -> Unary[None]:
    """End a running request; its stream finishes with "aborted"."""
    return call(
        "AdminService/Abort",
        pb.AbortRequest(request_id=request_id),
        pb.AbortResponse,
        lambda _: None,
        timeout,
    )


def usage(
    *,
    subject: str = "",
    model: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    page_size: int = 1000,
    timeout: float | None = None,
) -> Pages[usage_results.UsageDay]:
    """Iterate over what the tenant has used, by date, subject and model.

    All of it, or of one subject, or of one model, on days (UTC) of which a part is from ``start``
    and before ``end``.
    """
    return Pages(
        lambda cursor: call(
            "AdminService/GetUsage",
            made(
                pb.GetUsageRequest,
                subject=subject,
                model=model,
                start_time=to_stamp("start", start),
                end_time=to_stamp("end", end),
                page_size=page_size,
                cursor=cursor,
            ),
            pb.GetUsageResponse,
            usage_results.usage,
            timeout,
        )
    )


def cache_stats(*, timeout: float | None = None) -> Unary[tuple[results.CacheStats, ...]]:
    """What the caches hold for the caller's tenant, and did for it."""
    return call(
        "AdminService/GetCacheStats",
        pb.GetCacheStatsRequest(),
        pb.GetCacheStatsResponse,
        results.cache_stats,
        timeout,
    )


def clear_cache(*, timeout: float | None = None) -> Unary[int]:
    """Remove what is cached for the caller's tenant; how many entries."""
    return call(
        "AdminService/ClearCache",
        pb.ClearCacheRequest(),
        pb.ClearCacheResponse,
        lambda response: response.entries,
        timeout,
    )
