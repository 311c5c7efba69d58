"""The caches that settings describe, wired together; a part of the composition root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from groundwire_server.caching.answer_keys import AnswerKeys
from groundwire_server.caching.answers import CachedAnswers
from groundwire_server.caching.embeddings import CachedEmbedder
from groundwire_server.caching.kept_answers import KeptAnswers
from groundwire_server.caching.redis_cache import RedisCache
from groundwire_server.caching.similar_questions import SimilarQuestions
from groundwire_server.components import Component
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.grounding.answering import Answering
from groundwire_server.grounding.request import CachePolicy
from groundwire_server.identity import Identity, current_identity
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.observability.caches import CacheMetrics
from groundwire_server.parts import InOrder, OpenIndex
from groundwire_server.services.caches import TenantCache
from groundwire_server.settings import Settings
from groundwire_server.usage.call import current_usage


class Caches(Protocol):
    """What puts caches before what computes."""

    @property
    def components(self) -> Sequence[Component]:
        """What is started and closed with the server."""
        ...

    @property
    def tenant_caches(self) -> Mapping[str, TenantCache]:
        """Each cache by its name, for whoever looks after it."""
        ...

    def embedder(self, embedder: Embedder) -> Embedder:
        """The embedder, remembering what it was asked."""
        ...

    def answers(self, answers: Answering, index: OpenIndex, embedder: Embedder) -> Answering:
        """The answers, some of which are given again; ``embedder`` compares questions."""
        ...


def opened_caches(settings: Settings, metrics: CacheMetrics) -> Caches:
    """The caches; nothing is connected yet."""
    return RedisCaches(settings, metrics) if settings.cache_bytes else NoCaches()


class NoCaches:
    """Everything is computed each time."""

    components: Sequence[Component] = ()
    tenant_caches: Mapping[str, TenantCache] = {}

    def embedder(self, embedder: Embedder) -> Embedder:
        """The same."""
        return embedder

    def answers(self, answers: Answering, index: OpenIndex, embedder: Embedder) -> Answering:  # noqa: ARG002
        """The same."""
        return answers


class RedisCaches:
    """Caches in one Redis."""

    def __init__(self, settings: Settings, metrics: CacheMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        own: list[RedisServer] = []
        if not settings.cache_url:
            own = [RedisServer(settings.data_dir / "cache", cache_bytes=settings.cache_bytes)]
        url = settings.cache_url or own[0].url
        self._answers = self._cache(url, "answer")
        self._embeddings = self._cache(url, "embedding")
        self.components: Sequence[Component] = [
            InOrder("cache", [*own, self._embeddings, self._answers])
        ]

    @property
    def tenant_caches(self) -> Mapping[str, TenantCache]:
        """Both."""
        return {
            "answer": TenantCache(self._answers, self._metrics.answers),
            "embedding": TenantCache(self._embeddings, self._metrics.embeddings),
        }

    def embedder(self, embedder: Embedder) -> Embedder:
        """With what was embedded lately."""
        count = self._metrics.embeddings.on_texts

        def on_lookup(hits: int, misses: int) -> None:
            count(current_identity.get(Identity()).tenant, hits, misses)
            current_usage().embeddings_found(hits)

        return CachedEmbedder(embedder, self._embeddings, on_lookup)

    def answers(self, answers: Answering, index: OpenIndex, embedder: Embedder) -> Answering:
        """With what was answered lately."""
        settings = self._settings
        similar = SimilarQuestions(self._answers, embedder, settings.answer_cache_floor)
        keys = AnswerKeys(
            lambda: index.index, embedder, settings.max_tokens, settings.grounding_tokens
        )
        return CachedAnswers(
            answers,
            KeptAnswers(self._answers, similar),
            keys,
            default=CachePolicy(settings.answer_cache),
            on_lookup=self._metrics.answers.on_answer,
        )

    def _cache(self, url: str, kind: str) -> RedisCache:
        return RedisCache(
            url,
            kind,
            ttl_s=self._settings.cache_ttl_s,
            timeout_s=self._settings.cache_timeout_s,
            on_bypass=self._metrics.on_bypass,
        )
