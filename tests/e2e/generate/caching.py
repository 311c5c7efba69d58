"""GenerateService with a cache before its answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from groundwire.v1.generate_service_pb2 import GenerateRequest, GenerateResponse
from groundwire.v1.generation_pb2 import CACHE_POLICY_EXACT, ROLE_USER, Chat, Message
from groundwire_index import Index
from groundwire_server.caching.answer_keys import AnswerKeys
from groundwire_server.caching.answers import CachedAnswers
from groundwire_server.caching.kept_answers import KeptAnswers
from groundwire_server.caching.redis_cache import RedisCache
from groundwire_server.caching.similar_questions import SimilarQuestions
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.grounding.answering import Answering
from groundwire_server.grounding.request import CachePolicy
from groundwire_server.observability.metrics import Metrics

from tests.e2e.generate.serving import ALICE, Serve, Serving
from tests.patience import PATIENCE_S

ASK = GenerateRequest(prompt="Why?", cache=CACHE_POLICY_EXACT)


class Cached:
    """Serves with a cache before the answers."""

    def __init__(self, serve: Serve, url: str, index: Index, embedder: Embedder) -> None:
        self._url, self._index, self._embedder = url, index, embedder
        self.default = CachePolicy.OFF
        self.timeout_s = PATIENCE_S
        self.seconds = 0.0
        """By the clock that says when a cache that failed is tried again."""
        self.serve = partial(serve, around=self._around)
        self.caches: list[RedisCache] = []

    def _around(self, answers: Answering, metrics: Metrics) -> Answering:
        caches = metrics.caches
        cache = RedisCache(
            self._url,
            "answer",
            ttl_s=100.0,
            timeout_s=self.timeout_s,
            on_bypass=caches.on_bypass,
            now=lambda: self.seconds,
        )
        self.caches.append(cache)
        return CachedAnswers(
            answers,
            KeptAnswers(cache, SimilarQuestions(cache, self._embedder, 0.88)),
            AnswerKeys(lambda: self._index, self._embedder),
            default=self.default,
            on_lookup=caches.answers.on_answer,
        )

    async def close(self) -> None:
        for cache in self.caches:
            await cache.close()


async def ask(
    serving: Serving, request: GenerateRequest = ASK, tenant: object = ALICE
) -> list[GenerateResponse]:
    return [event async for event in serving.stub.Generate(request, metadata=tenant)]


def outcome(events: Sequence[GenerateResponse]) -> int:
    return events[-1].finished.cache


def asking(question: str, **fields: object) -> GenerateRequest:
    message = Message(role=ROLE_USER, content=question)
    return changed(GenerateRequest(chat=Chat(messages=[message])), **fields)


def changed(request: GenerateRequest, **fields: object) -> GenerateRequest:
    made = GenerateRequest()
    made.CopyFrom(request)
    made.MergeFrom(GenerateRequest(**fields))  # type: ignore[arg-type]
    return made
