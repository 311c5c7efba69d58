"""What the admin service gives: the server, its models, its load."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast

from groundwire.results.collections import Fingerprint, fingerprint
from groundwire.v1 import admin_service_pb2
from groundwire.values import enum_word, to_time

ComponentState: TypeAlias = Literal["starting", "ready", "failed", "unspecified", "unknown"]
ModelTask: TypeAlias = Literal["generate", "embed", "unspecified", "unknown"]


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the server; ``detail`` of a failed one says why and what to do."""

    name: str
    state: ComponentState
    detail: str


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server is, and the state of its parts."""

    version: str
    start_time: datetime | None
    components: tuple[Component, ...]
    default_model: str
    default_embedder: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model that requests may name."""

    name: str
    task: ModelTask
    engine: str
    default: bool
    context_length: int
    """Tokens; 0 where there is no limit."""
    fingerprint: Fingerprint | None
    state: ComponentState
    adapter_of: str = ""
    """The model that an adapter changes."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a server is doing now."""

    running_requests: int
    queued_requests: int
    queued_tokens: int
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class CacheStats:
    """One cache, as one tenant finds it; look-ups since the server has started."""

    cache: str
    """"answer" or "embedding"."""
    entries: int
    hits: int
    semantic_hits: int
    misses: int
    shared: int
    """Requests that had the answer that was being made for an equal one."""


def cache_stats(message: admin_service_pb2.GetCacheStatsResponse) -> tuple[CacheStats, ...]:
    """The answer of GetCacheStats."""
    return tuple(
        CacheStats(
            item.cache, item.entries, item.hits, item.semantic_hits, item.misses, item.shared
        )
        for item in message.caches
    )


def server_info(message: admin_service_pb2.GetServerInfoResponse) -> ServerInfo:
    """The answer of GetServerInfo."""
    return ServerInfo(
        message.version,
        to_time(message.start_time),
        tuple(Component(item.name, _state(item.state), item.detail) for item in message.components),
        message.default_model,
        message.default_embedder,
    )


def models(message: admin_service_pb2.ListModelsResponse) -> tuple[Model, ...]:
    """The answer of ListModels."""
    return tuple(_model(item) for item in message.models)


def load(message: admin_service_pb2.GetLoadResponse) -> Load:
    """The answer of GetLoad."""
    return Load(
        message.running_requests,
        message.queued_requests,
        message.queued_tokens,
        message.resident_bytes,
    )


def _model(message: admin_service_pb2.Model) -> Model:
    return Model(
        message.name,
        cast(ModelTask, enum_word(admin_service_pb2.ModelTask.DESCRIPTOR, message.task)),
        message.engine,
        message.default,
        message.context_length,
        fingerprint(message.fingerprint) if message.HasField("fingerprint") else None,
        _state(message.state),
        message.adapter_of,
    )


def _state(number: admin_service_pb2.ComponentState.ValueType) -> ComponentState:
    name = enum_word(admin_service_pb2.ComponentState.DESCRIPTOR, number)
    return cast(ComponentState, name)
