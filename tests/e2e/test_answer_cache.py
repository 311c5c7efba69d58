"""A whole server that gives answers again, and whoever looks after what it keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from groundwire import AsyncClient, CacheStats, Completion, Record
from groundwire.errors import FailedPreconditionError

from tests.whole_server import WholeServer, whole_server

OPENS = "When does the dome open?"
REWORDED = "What time does the dome open?"


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WholeServer]:
    folder = tmp_path_factory.mktemp("answers") / "data"
    async with whole_server(folder, answer_cache="semantic") as running:
        yield running


@pytest.fixture
async def client(server: WholeServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.address, tenant=f"tenant-{uuid4()}") as made:
        await with_documents(made)
        yield made


async def with_documents(client: AsyncClient) -> None:
    await client.retrieve.create_collection("guide")
    await client.retrieve.upsert("guide", [Record("hours", text="The dome opens at dusk.")])


async def ask(client: AsyncClient, question: str = OPENS) -> Completion:
    return await client.complete(question, grounding="guide")


async def answers(client: AsyncClient) -> CacheStats:
    (found,) = [one for one in await client.admin.cache_stats() if one.cache == "answer"]
    return found


async def test_what_was_asked_before_is_found_and_counted(client: AsyncClient) -> None:
    made = await ask(client)
    found = [await ask(client), await ask(client, REWORDED)]

    assert made.finished.cache == "unspecified"
    assert [one.finished.cache for one in found] == ["exact", "semantic"]
    assert {one.text for one in found} == {made.text}
    stats = await answers(client)
    assert (stats.entries, stats.misses, stats.hits, stats.semantic_hits) == (1, 1, 1, 1)
    (day,) = [day async for day in client.admin.usage(model="extractive")]
    assert (day.requests, day.cache_hits) == (3, 2)


async def test_clearing_ends_it_for_this_tenant_alone(
    server: WholeServer, client: AsyncClient
) -> None:
    async with AsyncClient(server.address, tenant=f"tenant-{uuid4()}") as other:
        await with_documents(other)
        for one in (client, other):
            await ask(one)
        # An answer, and the vector of its question.
        assert await client.admin.clear_cache() == 2
        assert (await ask(client)).finished.cache == "unspecified"
        assert (await ask(other)).finished.cache == "exact"
        assert (await answers(other)).misses == 1


async def test_a_write_ends_it(client: AsyncClient) -> None:
    await ask(client)
    await client.retrieve.upsert("guide", [Record("hours", text="The dome opens at noon.")])
    for question in (OPENS, REWORDED):
        assert "noon" in (await ask(client, question)).text


async def test_nothing_of_what_is_asked_in_a_session_or_of_somebody_is_in_a_cache(
    client: AsyncClient,
) -> None:
    session = await client.memory.create_session()
    before = await entries(client)
    await client.complete("Is my secret safe here?", grounding="guide", session_id=session.id)
    await client.complete("Does Ada keep secrets?", grounding="guide", subject="ada")
    await client.memory.remember("She keeps a secret.", subject="ada")
    await client.memory.recall("What does she keep?", subject="ada")
    assert await entries(client) == before
    await ask(client)
    assert await entries(client) == before + 2


async def entries(client: AsyncClient) -> int:
    return sum(one.entries for one in await client.admin.cache_stats())


async def test_without_caches_every_answer_is_made_and_there_is_nothing_to_look_after(
    tmp_path: Path,
) -> None:
    async with (
        whole_server(tmp_path / "data", cache_bytes=0, answer_cache="exact") as server,
        AsyncClient(server.address) as client,
    ):
        await with_documents(client)
        for _ in range(2):
            answer = await client.complete(OPENS, grounding="guide", cache="exact")
            assert answer.finished.cache == "unspecified"
        for call in (client.admin.cache_stats, client.admin.clear_cache):
            with pytest.raises(FailedPreconditionError, match="cache_bytes"):
                await call()
