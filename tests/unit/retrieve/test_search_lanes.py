"""Searches that come together are answered together, each for itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_index import Collection
from groundwire_index.errors import DataLossError
from groundwire_index.records import SearchMode, SearchQuery, SearchResult
from groundwire_server.blocking import run_blocking
from groundwire_server.services import search_lanes
from groundwire_server.services.search import search_of

from tests.patience import PATIENCE_S, until
from tests.unit.retrieve.serving import Served, record, refusal, vector

COUNT = 30
CORNERS = np.eye(36, dtype=np.float32)[:COUNT]


class Gate:
    """Holds up the searches of the index until it is opened, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.sizes: list[int] = []
        search_many = Collection.search_many

        def held(collection: Collection, queries: Sequence[SearchQuery]) -> list[SearchResult]:
            self.sizes.append(len(queries))
            assert self.opened.wait(PATIENCE_S)
            return search_many(collection, queries)

        monkeypatch.setattr(Collection, "search_many", held)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    monkeypatch.setattr(search_lanes, "_AT_ONCE", 2)
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()


@pytest.fixture
async def corners(served: Served) -> Served:
    await served.create()
    await served.upsert(*(record(f"r{n}", vector=corner) for n, corner in enumerate(CORNERS)))
    return served


def near(number: int) -> pb.SearchRequest:
    return pb.SearchRequest(collection="c", top_k=1, vector=vector(*CORNERS[number].tolist()))


def like(record_id: str) -> pb.SearchRequest:
    return pb.SearchRequest(collection="c", top_k=1, record_id=record_id)


async def all_busy(served: Served, gate: Gate) -> list[asyncio.Task[pb.SearchResponse]]:
    """The two searches that both threads are held up with, for r0 and r1."""
    searches = []
    for number in range(2):
        searches.append(asyncio.create_task(search(served, number)))
        await until(lambda: len(gate.sizes) == len(searches))
    return searches


async def search(served: Served, number: int) -> pb.SearchResponse:
    return await served.stub.Search(near(number))


async def test_each_gets_its_own_answer_and_few_passes_are_made(
    corners: Served, gate: Gate
) -> None:
    first = await all_busy(corners, gate)
    rest = [asyncio.ensure_future(corners.stub.Search(near(n))) for n in range(2, COUNT)]
    # Sent on the same connection after them: when it is answered, they have arrived.
    await corners.stub.Count(pb.CountRequest(collection="c"))
    gate.opened.set()
    found = await asyncio.gather(*first, *rest)
    assert [[hit.id for hit in one.hits] for one in found] == [[f"r{n}"] for n in range(COUNT)]
    assert len(gate.sizes) < COUNT / 2
    assert sum(gate.sizes) == COUNT


async def test_what_is_wrong_with_one_is_told_to_that_one(corners: Served, gate: Gate) -> None:
    first = await all_busy(corners, gate)
    good = [asyncio.ensure_future(corners.stub.Search(near(n))) for n in range(2, 10)]
    bad = asyncio.ensure_future(refusal(corners.stub.Search(like("nobody"))))
    await corners.stub.Count(pb.CountRequest(collection="c"))
    gate.opened.set()
    assert (await bad).code == grpc.StatusCode.NOT_FOUND
    found = await asyncio.gather(*first, *good)
    assert [one.hits[0].id for one in found] == [f"r{n}" for n in range(10)]


async def test_who_has_left_is_not_searched_for(corners: Served, gate: Gate) -> None:
    first = await all_busy(corners, gate)
    leaving = [corners.stub.Search(near(n)) for n in range(2, 20)]
    await corners.stub.Count(pb.CountRequest(collection="c"))
    for call in leaving:
        call.cancel()
    await corners.stub.Count(pb.CountRequest(collection="c"))
    gate.opened.set()
    await asyncio.gather(*first)
    assert (await corners.stub.Search(near(29))).hits[0].id == "r29"
    assert 3 <= sum(gate.sizes) <= 5


async def test_a_search_is_answered_that_comes_as_the_last_thread_finds_nothing_more(
    corners: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_lanes, "_AT_ONCE", 1)
    lanes = search_lanes.SearchLanes()
    collection = corners.index.collection("default", "c")
    async with asyncio.timeout(PATIENCE_S):
        for number in range(COUNT):
            found = await lanes.search(collection, search_of(near(number), SearchMode.DENSE))
            assert found.hits[0].id == f"r{number}"


async def test_what_the_index_refuses_of_one_is_answered_to_the_others(
    corners: Served, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    search_many = Collection.search_many

    def refusing(collection: Collection, queries: Sequence[SearchQuery]) -> list[SearchResult]:
        if any(query.vector is not None and query.vector[5] for query in queries):
            raise DataLossError("r5 is damaged")
        return search_many(collection, queries)

    monkeypatch.setattr(Collection, "search_many", refusing)
    first = await all_busy(corners, gate)
    good = [asyncio.create_task(search(corners, n)) for n in (2, 3, 4)]
    bad = asyncio.create_task(refusal(corners.stub.Search(near(5))))
    await corners.stub.Count(pb.CountRequest(collection="c"))
    gate.opened.set()
    assert (await bad).code == grpc.StatusCode.DATA_LOSS
    found = await asyncio.gather(*first, *good)
    assert [one.hits[0].id for one in found] == [f"r{n}" for n in range(5)]


async def test_searches_do_not_keep_threads_from_other_calls(corners: Served, gate: Gate) -> None:
    collection = corners.index.collection("default", "c")

    async def in_a_loop_of_one_thread() -> list[str]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        lanes = search_lanes.SearchLanes()
        searching = asyncio.create_task(
            lanes.search(collection, search_of(near(0), SearchMode.DENSE))
        )
        await until(lambda: bool(gate.sizes))
        await run_blocking(lambda: None)
        assert not searching.done()
        gate.opened.set()
        return [hit.id for hit in (await searching).hits]

    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.to_thread(asyncio.run, in_a_loop_of_one_thread()) == ["r0"]


async def test_a_slow_search_holds_up_the_others_for_a_moment_only(
    corners: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    search_many = Collection.search_many
    begun, ended = threading.Event(), threading.Event()

    def first_is_slow(collection: Collection, queries: Sequence[SearchQuery]) -> list[SearchResult]:
        if not begun.is_set():
            begun.set()
            assert ended.wait(PATIENCE_S)
        return search_many(collection, queries)

    monkeypatch.setattr(Collection, "search_many", first_is_slow)
    slow = asyncio.create_task(search(corners, 0))
    await asyncio.to_thread(begun.wait, PATIENCE_S)
    try:
        found = await asyncio.gather(*(search(corners, number) for number in (1, 2)))
        assert [one.hits[0].id for one in found] == ["r1", "r2"]
        assert not slow.done()
    finally:
        ended.set()
    assert (await slow).hits[0].id == "r0"


async def test_no_more_threads_search_at_once_than_may(corners: Served, gate: Gate) -> None:
    first = await all_busy(corners, gate)
    third = asyncio.create_task(search(corners, 2))
    # Longer than anyone is patient.
    await asyncio.sleep(3 * search_lanes._PATIENCE_S)
    assert len(gate.sizes) == 2
    gate.opened.set()
    found = await asyncio.gather(*first, third)
    assert [one.hits[0].id for one in found] == ["r0", "r1", "r2"]


async def test_searches_are_answered_where_the_system_has_no_more_threads(
    corners: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = search_lanes.SearchLanes()
    collection = corners.index.collection("default", "c")
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name.startswith("search"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    async with asyncio.timeout(PATIENCE_S):
        found = await asyncio.gather(
            *(lanes.search(collection, search_of(near(n), SearchMode.DENSE)) for n in range(5))
        )
    assert [one.hits[0].id for one in found] == [f"r{n}" for n in range(5)]
