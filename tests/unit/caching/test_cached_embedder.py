from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

import numpy as np
import pytest
from groundwire_server.caching.embeddings import CachedEmbedder
from groundwire_server.embedders.embedder import (
    Embeddings,
    EmbedKind,
    Priority,
    TextTooLongError,
    Truncation,
)
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.identity import Identity, current_identity

LONG = "word " * 1000


class Counting(SentenceTransformersEmbedder):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__("all-MiniLM-L6-v2")
        self.asked: list[str] = []

    async def embed(
        self,
        texts: Sequence[str],
        kind: EmbedKind,
        *,
        priority: Priority = Priority.INTERACTIVE,
        truncation: Truncation = Truncation.END,
    ) -> Embeddings:
        self.asked += texts
        return await super().embed(texts, kind, priority=priority, truncation=truncation)


class Shelf:
    """A cache in a dictionary."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, bytes], bytes] = {}

    async def get(self, tenant: str, names: Sequence[bytes]) -> Sequence[bytes | None]:
        return [self.values.get((tenant, name)) for name in names]

    async def put(self, tenant: str, values: Mapping[bytes, bytes]) -> None:
        self.values |= {(tenant, name): value for name, value in values.items()}


class Cached:
    def __init__(self, bare: Counting) -> None:
        self.bare = bare
        self.shelf = Shelf()
        self.lookups: list[tuple[int, int]] = []
        self.embedder = CachedEmbedder(
            bare, self.shelf, lambda hits, misses: self.lookups.append((hits, misses))
        )
        bare.asked.clear()


@pytest.fixture(scope="session")
async def bare() -> AsyncIterator[Counting]:
    embedder = Counting()
    await embedder.start()
    yield embedder
    await embedder.close()


@pytest.fixture
def cached(bare: Counting) -> Cached:
    return Cached(bare)


@pytest.fixture(autouse=True)
def _caller() -> Iterator[None]:
    token = current_identity.set(Identity("alice"))
    yield
    current_identity.reset(token)


async def test_a_text_is_embedded_once_and_what_is_remembered_is_the_same(cached: Cached) -> None:
    texts = ["The dome opens at dusk.", "Tickets cost 12 euros."]
    first = await cached.embedder.embed(texts, EmbedKind.PASSAGE)
    again = await cached.embedder.embed([*texts[::-1], "Soup and bread."], EmbedKind.PASSAGE)

    assert cached.bare.asked == [*texts, "Soup and bread."]
    assert np.array_equal(again.vectors[:2], first.vectors[::-1])
    assert again.vectors.dtype == np.float32
    assert again.token_counts[:2] == first.token_counts[::-1]
    assert cached.lookups == [(0, 2), (2, 1)]


async def test_queries_and_passages_are_told_apart(cached: Cached) -> None:
    await cached.embedder.embed(["dusk"], EmbedKind.QUERY)
    await cached.embedder.embed(["dusk"], EmbedKind.PASSAGE)

    assert cached.bare.asked == ["dusk", "dusk"]


async def test_tenants_share_nothing(cached: Cached) -> None:
    await cached.embedder.embed(["dusk"], EmbedKind.QUERY)
    current_identity.set(Identity("bob"))
    await cached.embedder.embed(["dusk"], EmbedKind.QUERY)

    assert cached.lookups == [(0, 1), (0, 1)]


async def test_another_model_finds_nothing(cached: Cached) -> None:
    await cached.embedder.embed(["dusk"], EmbedKind.QUERY)
    other = SentenceTransformersEmbedder("all-MiniLM-L6-v2", query_prefix="query: ")
    await other.start()
    lookups: list[tuple[int, int]] = []
    again = CachedEmbedder(other, cached.shelf, lambda *found: lookups.append(found))
    await again.embed(["dusk"], EmbedKind.QUERY)
    await other.close()

    assert lookups == [(0, 1)]


async def test_a_model_that_reads_more_of_a_text_finds_nothing(
    cached: Cached, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cached.embedder.embed([LONG], EmbedKind.PASSAGE)
    monkeypatch.setattr(Counting, "max_tokens", cached.bare.max_tokens * 2)
    await cached.embedder.embed([LONG], EmbedKind.PASSAGE)

    assert cached.lookups == [(0, 1), (0, 1)]


async def test_what_is_ingested_goes_past_it(cached: Cached) -> None:
    await cached.embedder.embed(["dusk"], EmbedKind.PASSAGE, priority=Priority.INGESTION)

    assert not cached.shelf.values
    assert cached.lookups == []


async def test_a_text_that_was_cut_is_known_as_cut(cached: Cached) -> None:
    first = await cached.embedder.embed([LONG], EmbedKind.PASSAGE)
    again = await cached.embedder.embed([LONG], EmbedKind.PASSAGE)

    assert first.truncated == again.truncated == (True,)
    assert len(cached.bare.asked) == 1


async def test_a_text_that_must_not_be_cut_is_refused_by_its_own_number(cached: Cached) -> None:
    await cached.embedder.embed(["dusk", LONG], EmbedKind.PASSAGE)
    with pytest.raises(TextTooLongError) as caught:
        await cached.embedder.embed(
            ["dusk", "dawn", LONG], EmbedKind.PASSAGE, truncation=Truncation.NONE
        )

    assert caught.value.position == 2


async def test_what_someone_else_has_put_there_is_not_taken_for_a_vector(cached: Cached) -> None:
    first = await cached.embedder.embed(["dusk"], EmbedKind.QUERY)
    cached.shelf.values = dict.fromkeys(cached.shelf.values, b"nonsense")
    again = await cached.embedder.embed(["dusk"], EmbedKind.QUERY)

    assert np.array_equal(first.vectors, again.vectors)
    assert cached.lookups == [(0, 1), (0, 1)]
