"""AdminService: what this server is, what it does now, and ending a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version

from google.protobuf.timestamp_pb2 import Timestamp
from groundwire.v1 import admin_service_pb2 as pb
from groundwire.v1 import admin_service_pb2_grpc as pb_grpc
from groundwire_index.errors import UnavailableError

from groundwire_server.blocking import run_blocking
from groundwire_server.components import Components, Condition, State
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.breaker import BreakerState
from groundwire_server.engines.models import Models, Route
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.identity import current_identity
from groundwire_server.interceptors.admission import Admission
from groundwire_server.interceptors.method import Context
from groundwire_server.observability.metrics import resident_bytes
from groundwire_server.parts import RunningEmbedder, model_component
from groundwire_server.running import RunningRequests
from groundwire_server.services.caches import TenantCache, cache_stats, clear_caches
from groundwire_server.services.durations import duration_message
from groundwire_server.services.usage import usage_response
from groundwire_server.services.validate import require
from groundwire_server.services.vectors import fingerprint_message
from groundwire_server.usage.report import UsageReports


class AdminService(pb_grpc.AdminServiceServicer):
    """The control plane."""

    def __init__(
        self,
        *,
        start_time: datetime,
        components: Components,
        models: Models,
        embedder: Embedder,
        admission: Admission,
        running: RunningRequests,
        usage: UsageReports,
        caches: Mapping[str, TenantCache],
    ) -> None:
        self._start_time = Timestamp()
        self._start_time.FromDatetime(start_time)
        self._components = components
        self._models = models
        self._embedder = embedder
        self._admission = admission
        self._running = running
        self._usage = usage
        self._caches = caches
        self._version = version("groundwire")

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        """Say what this server is and what state its parts are in."""
        return pb.GetServerInfoResponse(
            version=self._version,
            start_time=self._start_time,
            components=map(_component, self._components.conditions),
            default_model=self._models.default.name,
            default_embedder="".join(model.name for model in self._embedding()),
        )

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        """List the engines' models, the routes to them, then the embedder's."""
        models = [*self._generating(), *self._routes(), *self._embedding()]
        return pb.ListModelsResponse(models=models)

    async def Abort(self, request: pb.AbortRequest, context: Context) -> pb.AbortResponse:
        """End a running request of the caller's tenant."""
        require(bool(request.request_id), "request_id", "must not be empty")
        self._running.abort(current_identity.get().tenant, request.request_id)
        return pb.AbortResponse()

    async def GetLoad(self, request: pb.GetLoadRequest, context: Context) -> pb.GetLoadResponse:
        """Count calls in progress, this one not included, what waits for a model, and memory."""
        waiting = [self._embedder.waiting, *(model.waiting for model in self._models)]
        return pb.GetLoadResponse(
            running_requests=self._admission.running - 1,
            queued_requests=sum(one.requests for one in waiting),
            queued_tokens=sum(one.tokens for one in waiting),
            resident_bytes=await run_blocking(resident_bytes),
            models=map(_load, self._models),
        )

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        """Say what the caller's tenant has used."""
        return await usage_response(self._usage, current_identity.get().tenant, request)

    async def GetCacheStats(
        self, request: pb.GetCacheStatsRequest, context: Context
    ) -> pb.GetCacheStatsResponse:
        """Tell what the caches hold for the caller's tenant."""
        return await cache_stats(self._caches, current_identity.get().tenant)

    async def ClearCache(
        self, request: pb.ClearCacheRequest, context: Context
    ) -> pb.ClearCacheResponse:
        """Remove what is cached for the caller's tenant."""
        return await clear_caches(self._caches, current_identity.get().tenant)

    def _generating(self) -> Iterator[pb.Model]:
        for model in (*self._models, *self._models.adapted):
            yield pb.Model(
                name=model.model,
                task=pb.MODEL_TASK_GENERATE,
                engine=model.name,
                default=model.model == self._models.default.name,
                context_length=model.context_length,
                state=self._state_of(model_component(model)),
                breaker=_BREAKERS[model.breaker],
                latency_target=duration_message(model.targets.latency_s),
                throughput_target=model.targets.throughput or 0.0,
                adapter_of="" if model.model == model.base else model.base,
            )

    def _routes(self) -> Iterator[pb.Model]:
        for route in self._models.routes:
            heaviest = route.heaviest
            yield pb.Model(
                name=route.name,
                task=pb.MODEL_TASK_GENERATE,
                engine="route",
                default=route is self._models.default,
                context_length=heaviest.context_length,
                state=self._state_of_any(route),
                models=[
                    *(pb.RoutedModel(name=m.model, weight=w) for m, w in route.weights.items()),
                    *(pb.RoutedModel(name=model.model) for model in route.fallbacks),
                ],
            )

    def _embedding(self) -> Iterator[pb.Model]:
        """The embedder's model; nothing while it runs elsewhere and was not reached yet."""
        try:
            fingerprint = self._embedder.fingerprint
        except UnavailableError:
            return
        yield pb.Model(
            name=fingerprint.model,
            task=pb.MODEL_TASK_EMBED,
            engine=RunningEmbedder.name,
            default=True,
            context_length=self._embedder.max_tokens,
            fingerprint=fingerprint_message(fingerprint),
            state=self._state_of(RunningEmbedder.name),
        )

    def _state_of_any(self, route: Route) -> pb.ComponentState.ValueType:
        """That of the first of its models that works."""
        states = [self._state_of(model_component(model)) for model in route.answering]
        ready = pb.COMPONENT_STATE_READY
        return ready if ready in states else states[0]

    def _state_of(self, component: str) -> pb.ComponentState.ValueType:
        return _STATES[self._components.condition_of(component).state]


def _load(model: ServedModel) -> pb.ModelLoad:
    waiting = model.queue.waiting
    return pb.ModelLoad(
        model=model.model,
        running_requests=model.queue.running,
        waiting_requests=waiting.requests,
        waiting_tokens=waiting.tokens,
    )


def _component(condition: Condition) -> pb.Component:
    return pb.Component(
        name=condition.name, state=_STATES[condition.state], detail=condition.detail
    )


_BREAKERS: dict[BreakerState, pb.BreakerState.ValueType] = {
    BreakerState.CLOSED: pb.BREAKER_STATE_CLOSED,
    BreakerState.OPEN: pb.BREAKER_STATE_OPEN,
    BreakerState.HALF_OPEN: pb.BREAKER_STATE_HALF_OPEN,
}
_STATES: dict[State, pb.ComponentState.ValueType] = {
    State.STARTING: pb.COMPONENT_STATE_STARTING,
    State.READY: pb.COMPONENT_STATE_READY,
    State.FAILED: pb.COMPONENT_STATE_FAILED,
}
