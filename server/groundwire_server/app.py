"""The composition root: the one place that knows all parts and wires them together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from groundwire.v1 import admin_service_pb2 as admin_pb
from groundwire.v1 import admin_service_pb2_grpc as admin_grpc
from groundwire.v1 import embed_service_pb2 as embed_pb
from groundwire.v1 import embed_service_pb2_grpc as embed_grpc
from groundwire.v1 import generate_service_pb2 as generate_pb
from groundwire.v1 import generate_service_pb2_grpc as generate_grpc
from groundwire.v1 import memory_service_pb2 as memory_pb
from groundwire.v1 import memory_service_pb2_grpc as memory_grpc
from groundwire.v1 import retrieve_service_pb2 as retrieve_pb
from groundwire.v1 import retrieve_service_pb2_grpc as retrieve_grpc
from groundwire_index import Index
from groundwire_index.backend import IndexBackend
from groundwire_index.errors import FailedPreconditionError
from groundwire_index.gpu import Gpus, NoGpus, open_gpus
from groundwire_index.milvus import MilvusIndex

from groundwire_server.caches import opened_caches
from groundwire_server.components import Component, Components
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.embedders.precision import vllm_precision
from groundwire_server.embedders.remote import RemoteEmbedder
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.embedders.supervised import SupervisedEmbedder
from groundwire_server.embedders.vllm import VllmEmbedder
from groundwire_server.grounding.answer import Answers
from groundwire_server.grounding.prepare import Preparation
from groundwire_server.grounding.retrieve import Retriever
from groundwire_server.grounding.similarity import EmbeddedSimilarity
from groundwire_server.ingestion import DocumentIngest
from groundwire_server.interceptors.admission import Admission
from groundwire_server.interceptors.method import Interceptor
from groundwire_server.interceptors.tracing import CallTracing, NoTracing, Tracing
from groundwire_server.kept_usage import KeptUsage, kept_usage
from groundwire_server.lifecycle import Needs, Server
from groundwire_server.memory.memories.receipts import FOLDER, Receipts
from groundwire_server.memory.memories.store import Memories
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import CountTokens, RedisSessions
from groundwire_server.observability.gpu import GpuReadings
from groundwire_server.observability.metrics import Metrics
from groundwire_server.observability.models import ModelReadings
from groundwire_server.parts import (
    InOrder,
    OpenIndex,
    RunningEmbedder,
    RunningModel,
    model_component,
)
from groundwire_server.running import RunningRequests
from groundwire_server.served_models import served_models
from groundwire_server.services.admin import AdminService
from groundwire_server.services.embed import EmbedService
from groundwire_server.services.generate import GenerateService
from groundwire_server.services.left_answers import DroppedAnswers, LeftAnswers
from groundwire_server.services.memory import MemoryService
from groundwire_server.services.retrieve import RetrieveService
from groundwire_server.session_settings import policies_of
from groundwire_server.session_work import SessionWork
from groundwire_server.settings import Settings
from groundwire_server.store_settings import NO_GPU
from groundwire_server.upkeep import index_upkeep, session_upkeep
from groundwire_server.usage.embedding import NotedEmbedder


def server(settings: Settings) -> Server:
    """The server that these settings describe. Nothing is opened or loaded yet."""
    admission = Admission(settings.max_concurrent_calls)
    metrics = Metrics()
    metrics.registry.register(GpuReadings())
    application = Groundwire(settings, admission, metrics)
    return Server(
        settings,
        application,
        admission,
        metrics,
        tracing=_tracing(settings),
        counting=application.counting,
    )


class Groundwire:
    """The application: every service, over one index, one session store and the models."""

    def __init__(self, settings: Settings, admission: Admission, metrics: Metrics) -> None:
        self._settings = settings
        self._admission = admission
        self._metrics = metrics
        self._start_time = datetime.now(UTC)
        self._running = RunningRequests()
        self._left = (
            LeftAnswers(admission.in_progress)
            if settings.left_answers == "finish"
            else DroppedAnswers()
        )
        self._embedder = _embedder(settings, metrics)
        metrics.embedder.observe_queue(lambda: self._embedder.waiting)
        self._caches = opened_caches(settings, metrics.caches)
        # Whatever embeds for a call does it by one of these two.
        self._noted = NotedEmbedder(self._embedder)
        self._remembered = NotedEmbedder(self._caches.embedder(self._embedder))
        self._models = served_models(settings, self._embedder)
        metrics.registry.register(ModelReadings(self._models))
        self._work = SessionWork()
        self._sessions, self._usage, session_store = _session_store(
            settings, self._models.default.heaviest.count_tokens, metrics, self._work
        )
        self._index = OpenIndex(lambda: _index(settings, metrics))
        self._memories = Memories(
            lambda: self._index.index,
            self._noted,
            Receipts(settings.data_dir / FOLDER),
            summaries=self._sessions.summaries,
        )
        work = (settings, self._sessions, self._models)
        workers = (
            *self._work.summaries(*work, self._embedder, metrics.sessions),
            *self._work.extraction(*work, self._memories, metrics.sessions),
        )
        # They are closed last to first: what others use comes before them.
        self.components = Components(
            [
                InOrder("sessions", [session_store, self._left, *workers]),
                InOrder("index", [self._index, index_upkeep(self._purge)]),
                RunningEmbedder(self._embedder),
                *map(RunningModel, self._models),
                *self._caches.components,
            ]
        )

    @property
    def services(self) -> Mapping[ServiceDescriptor, Needs]:
        """Each service, and what it needs to serve."""
        generate = [model_component(model) for model in self._models.default.answering]
        return {
            generate_pb.DESCRIPTOR.services_by_name["GenerateService"]: [generate],
            embed_pb.DESCRIPTOR.services_by_name["EmbedService"]: [["embedder"]],
            retrieve_pb.DESCRIPTOR.services_by_name["RetrieveService"]: [["index"], ["embedder"]],
            memory_pb.DESCRIPTOR.services_by_name["MemoryService"]: [["sessions"]],
            admin_pb.DESCRIPTOR.services_by_name["AdminService"]: [],
        }

    def register(self, registry: grpc.aio.Server) -> None:
        """Add the servicers."""
        generate_grpc.add_GenerateServiceServicer_to_server(self._generate(), registry)
        embed_grpc.add_EmbedServiceServicer_to_server(EmbedService(self._remembered), registry)
        retrieve_grpc.add_RetrieveServiceServicer_to_server(self._retrieve(), registry)
        memory_grpc.add_MemoryServiceServicer_to_server(
            MemoryService(self._sessions, self._models, self._memories), registry
        )
        admin_grpc.add_AdminServiceServicer_to_server(self._admin(), registry)

    @property
    def counting(self) -> Interceptor:
        """Counts what callers use."""
        return self._usage.counting

    def _purge(self) -> int:
        try:
            swept = self._memories.sweep()
        finally:
            purged = self._index.index.purge()
        return swept + purged

    def _generate(self) -> GenerateService:
        preparation = Preparation(
            Retriever(self._index.index, self._remembered, self._noted),
            self._sessions,
            max_tokens=self._settings.max_tokens,
            passage_tokens=self._settings.grounding_tokens,
            recall=self._memories.for_context,
        )
        answers = Answers(preparation, EmbeddedSimilarity(self._embedder))
        return GenerateService(
            self._models,
            self._caches.answers(answers, self._index, self._remembered),
            self._running,
            self._metrics.generation,
            reader_patience_s=self._settings.reader_patience_s,
            left=self._left,
        )

    def _retrieve(self) -> RetrieveService:
        spool_dir = self._settings.data_dir / "spool"
        spool_dir.mkdir(exist_ok=True)
        documents = DocumentIngest(
            self._noted,
            spool_dir=spool_dir,
            chunk_tokens=self._settings.chunk_tokens,
            chunk_overlap_tokens=self._settings.chunk_overlap_tokens,
            max_document_bytes=self._settings.max_document_bytes,
        )
        return RetrieveService(self._index.index, self._remembered, documents, self._metrics.search)

    def _admin(self) -> AdminService:
        return AdminService(
            start_time=self._start_time,
            components=self.components,
            models=self._models,
            embedder=self._embedder,
            admission=self._admission,
            running=self._running,
            usage=self._usage.reports,
            caches=self._caches.tenant_caches,
        )


def _tracing(settings: Settings) -> CallTracing:
    if not settings.trace_endpoint:
        return NoTracing()
    try:
        from groundwire_server.observability.otel import OtlpTracer
    except ImportError as error:
        raise FailedPreconditionError(
            f"trace_endpoint needs OpenTelemetry: pip install 'groundwire[otel]' ({error})",
            reason="OPENTELEMETRY_MISSING",
        ) from error
    return Tracing(OtlpTracer(settings.trace_endpoint, settings.trace_sample_ratio))


def _embedder(settings: Settings, metrics: Metrics) -> Embedder:
    if settings.embedder_url:
        return RemoteEmbedder(
            settings.embedder_url,
            settings.embedder_model,
            api_key=settings.embedder_api_key,
            query_prefix=settings.embedder_query_prefix,
            passage_prefix=settings.embedder_passage_prefix,
            shorter_dimensions=settings.embedder_dimensions,
            max_tokens=settings.embedder_max_tokens,
            tokenizer=settings.embedder_tokenizer,
            silence_s=settings.embedder_silence_s,
            on_batch=metrics.embedder.on_batch,
        )
    if settings.embedder_runtime == "vllm":
        return SupervisedEmbedder(
            partial(
                VllmEmbedder,
                settings.embedder_model,
                args={**vllm_precision(settings.embedder_precision), **settings.embedder_vllm_args},
                query_prefix=settings.embedder_query_prefix,
                passage_prefix=settings.embedder_passage_prefix,
                shorter_dimensions=settings.embedder_dimensions,
                on_batch=metrics.embedder.on_batch,
            )
        )
    return SentenceTransformersEmbedder(
        settings.embedder_model,
        precision=settings.embedder_precision,
        query_prefix=settings.embedder_query_prefix,
        passage_prefix=settings.embedder_passage_prefix,
        shorter_dimensions=settings.embedder_dimensions,
        batch_tokens=settings.embedder_batch_tokens,
        on_batch=metrics.embedder.on_batch,
    )


def _index(settings: Settings, metrics: Metrics) -> IndexBackend:
    if settings.index == "milvus":
        return MilvusIndex.open(settings.milvus_uri, settings.milvus_token)
    return Index.open(
        settings.data_dir / "index",
        record_cache_bytes=settings.index_record_cache_bytes,
        gpus=_gpus(settings, metrics),
    )


def _gpus(settings: Settings, metrics: Metrics) -> Gpus:
    wanted = settings.index_gpu
    if wanted == NO_GPU:
        return NoGpus()
    return open_gpus(
        None if wanted == "auto" else [int(number) for number in wanted.split(",")],
        settings.index_gpu_memory_bytes,
        lambda reason: metrics.gpu_fallbacks.labels(reason).inc(),
    )


def _session_store(
    settings: Settings, count_tokens: CountTokens, metrics: Metrics, work: SessionWork
) -> tuple[RedisSessions, KeptUsage, Component]:
    own: list[RedisServer] = []
    if not settings.redis_url:
        own = [RedisServer(settings.data_dir / "redis", fsync=settings.redis_fsync)]
    url, keeper = (settings.redis_url, None) if not own else (own[0].url, own[0])
    sessions = RedisSessions(
        url,
        count_tokens=count_tokens,
        keeper=keeper,
        timeout_s=settings.redis_timeout_s,
        on_append=work.note,
        on_step=metrics.sessions.on_step,
    )
    policies = policies_of(settings.session_retention)
    upkeep = session_upkeep(
        sessions.retention, policies, metrics.sessions.on_swept, on_kept=work.seen
    )
    usage = kept_usage(settings, url, keeper, metrics.usage)
    return sessions, usage, InOrder("sessions", [*own, sessions, upkeep, *usage.components])
