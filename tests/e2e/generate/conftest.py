"""One embedder, one redis-server and one small library for the tests of GenerateService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from groundwire_index import Index
from groundwire_index.records import CollectionSpec, Metric, Record
from groundwire_server.embedders.embedder import Embedder, EmbedKind
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions
from redis.asyncio import Redis

from tests.e2e.generate.caching import Cached
from tests.e2e.generate.serving import Serve, serving
from tests.patience import PATIENCE_S

NOTES = {
    "mirror": "The main mirror is 2.4 metres wide. It was cast by Hartmann in Jena in 1931.",
    "tickets": "Tickets cost 12 euros for adults. Children under six enter free of charge.",
    "hours": "The dome opens at dusk on clear nights. It is never open during rain.",
    "cafe": "The cafe serves soup and bread until nine in the evening.",
    "staff": "The observatory is directed by Ines Okafor. She joined in 2009.",
}


@pytest.fixture(scope="session")
async def embedder() -> AsyncIterator[SentenceTransformersEmbedder]:
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2")
    await embedder.start()
    yield embedder
    await embedder.close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index") as index:
        yield index


@pytest.fixture
async def library(index: Index, embedder: Embedder) -> Index:
    """An index with the tenant alice's collection "notes", and "bare" without an embedder."""
    fingerprint = embedder.fingerprint
    spec = CollectionSpec("notes", Metric.COSINE, fingerprint.dimension, fingerprint)
    embedded = await embedder.embed(list(NOTES.values()), EmbedKind.PASSAGE)
    index.create_collection("alice", spec)
    index.collection("alice", "notes").upsert(
        [
            Record(key, vector, text, {"title": f"About {key}"})
            for (key, text), vector in zip(NOTES.items(), embedded.vectors, strict=True)
        ]
    )
    index.create_collection("alice", CollectionSpec("bare", Metric.COSINE, 3))
    index.collection("alice", "bare").upsert([Record("mirror", text=NOTES["mirror"])])
    return index


@pytest.fixture(scope="session")
async def redis_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("generate-redis"))
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def sessions(redis_server: RedisServer) -> AsyncIterator[RedisSessions]:
    async def count(text: str) -> int:
        return len(text.split())

    sessions = RedisSessions(
        redis_server.url, count_tokens=count, keeper=redis_server, timeout_s=PATIENCE_S
    )
    await sessions.start()
    yield sessions
    await sessions.close()


@pytest.fixture
def session_id() -> str:
    return uuid4().hex


@pytest.fixture
def serve(index: Index, embedder: Embedder, sessions: RedisSessions) -> Serve:
    """Serve engines over the index, the embedder and the sessions of the test."""
    return partial(serving, index=index, embedder=embedder, sessions=sessions)


@pytest.fixture(scope="session")
async def cache_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("answers"), cache_bytes=16 * 2**20)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def cached(
    serve: Serve, cache_server: RedisServer, index: Index, embedder: Embedder
) -> AsyncIterator[Cached]:
    """Serves as `serve` does, with an empty cache before the answers."""
    async with Redis.from_url(cache_server.url) as redis:
        await redis.flushall()
    made = Cached(serve, cache_server.url, index, embedder)
    yield made
    await made.close()
