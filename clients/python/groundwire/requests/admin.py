"""The server itself."""

from __future__ import annotations

from groundwire.call import Unary, call
from groundwire.results import server as results
from groundwire.v1 import admin_service_pb2 as pb


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
