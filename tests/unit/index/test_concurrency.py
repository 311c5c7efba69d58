"""Many writers and readers at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from groundwire_index import Collection, Index, SearchMode
from groundwire_index.errors import NotFoundError
from groundwire_index.records import SearchQuery, SearchResult
from groundwire_index.storage.segment_file import SegmentFile
from groundwire_index.writer import Writer
from groundwire_index.writes import Upsert

from tests.patience import PATIENCE_S, until_seen
from tests.unit.index.samples import TENANT, document, record, vector


def test_every_acknowledged_write_is_read_by_who_reads_after_it(collection: Collection) -> None:
    def write(worker: int) -> list[int]:
        sequences = []
        for number in range(10):
            key = f"{worker}-{number}"
            written = collection.upsert([record(key, vector(1, worker, number), f"word{key}")])
            sequences.append(written.sequence)
            assert collection.get([key])[0] is not None
            query = SearchQuery(vector(1, worker, number), f"word{key}", 1, SearchMode.HYBRID)
            found = collection.search(query)
            assert found.hits[0].id == key
            assert found.plan.sequence >= written.sequence
        return sequences

    with ThreadPoolExecutor(6) as pool:
        sequences = [one for several in pool.map(write, range(6)) for one in several]
    assert sorted(sequences) == list(range(1, 61))
    assert collection.count().count == 60


def test_whoever_waits_for_a_write_that_is_being_committed_finds_it(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.upsert([record("before", vector(1, 0, 0))])
    committed, shown, show = threading.Event(), threading.Event(), Writer._show

    def slowly(*args: Any) -> None:
        committed.set()
        assert shown.wait(PATIENCE_S)
        show(*args)

    def search_after(sequence: int) -> SearchResult:
        collection.wait_for(sequence, timeout_s=PATIENCE_S)
        return collection.search(SearchQuery(vector(0, 1, 0), top_k=1))

    monkeypatch.setattr(Writer, "_show", slowly)
    with ThreadPoolExecutor(2) as pool:
        written = pool.submit(collection.upsert, [record("new", vector(0, 1, 0))])
        assert committed.wait(PATIENCE_S)
        found = pool.submit(search_after, collection.count().sequence)
        threading.Timer(0.2, shown.set).start()
        assert found.result(PATIENCE_S).hits[0].id == "new"
        assert found.result(PATIENCE_S).plan.sequence == written.result(PATIENCE_S).sequence


def test_a_reader_sees_one_version_of_a_document_or_the_other(collection: Collection) -> None:
    def version(number: int) -> None:
        chunks = [
            record(f"d#{n}", vector(1, number, n), f"word{number}", metadata={"v": number})
            for n in range(1 + number % 4)
        ]
        collection.replace_document(document("d"), chunks)

    stop = threading.Event()

    def read() -> int:
        seen = 0
        while not stop.is_set() or not seen:
            for mode in SearchMode:
                text = " ".join(f"word{n}" for n in range(40))
                hits = collection.search(SearchQuery(vector(1, 0, 0), text, 20, mode)).hits
                versions = {hit.record.metadata["v"] for hit in hits}
                assert len(versions) == 1
                (v,) = versions
                assert isinstance(v, int)
                assert len(hits) == 1 + v % 4
            seen += 1
        return seen

    version(0)
    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        for number in range(1, 40):
            version(number)
        stop.set()
        assert all(reader.result() for reader in readers)


def test_writes_that_wait_share_one_sync(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.upsert([record("first")])
    queued = threading.Barrier(9)
    syncs = []
    write = SegmentFile.write

    def slow_write(self: SegmentFile, first: int, vectors: object) -> None:
        if not syncs:
            # The first group waits on the disk until all other writers stand in line.
            queued.wait(timeout=PATIENCE_S)
            until_seen(lambda: len(collection._store.writer._queue) == 8)
        syncs.append(first)
        write(self, first, vectors)  # type: ignore[arg-type]

    monkeypatch.setattr(SegmentFile, "write", slow_write)

    def upsert(number: int) -> None:
        if number:
            queued.wait(timeout=PATIENCE_S)
        collection.upsert([record(f"r{number}", vector(1, number, 0))])

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(upsert, range(9)))
    assert len(syncs) == 2
    assert collection.count().count == 10


def test_a_refused_write_in_a_group_concerns_no_other(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = threading.Barrier(5)
    call = Upsert.__call__

    def together(self: Upsert, transaction: object) -> object:
        if not ready.broken and self.batch.records[0].id == "first":
            ready.wait(timeout=PATIENCE_S)
            until_seen(lambda: len(collection._store.writer._queue) == 4)
        return call(self, transaction)  # type: ignore[arg-type]

    monkeypatch.setattr(Upsert, "__call__", together)

    def write(number: int) -> int:
        if number == 0:
            return collection.upsert([record("first")]).sequence
        ready.wait(timeout=PATIENCE_S)
        if number % 2:
            with pytest.raises(NotFoundError):
                collection.delete_document("nobody")
            return 0
        return collection.upsert([record(f"r{number}")]).sequence

    with ThreadPoolExecutor(5) as pool:
        sequences = list(pool.map(write, range(5)))
    assert sorted(sequences) == [0, 0, 1, 2, 3]
    assert collection.count().count == 3
    assert collection.info().sequence == 3


def test_deleting_a_collection_under_load_ends_every_call(
    index: Index, make: Callable[..., Collection]
) -> None:
    collection = make()
    started = threading.Barrier(5)

    def use(worker: int) -> None:
        for number in count():
            collection.upsert([record(f"{worker}-{number}", text="word")])
            collection.search(SearchQuery(vector(1, 0, 0), "word", 3, SearchMode.HYBRID))
            collection.scroll(limit=3)

    def work(worker: int) -> None:
        started.wait(timeout=PATIENCE_S)
        with pytest.raises(NotFoundError):
            use(worker)

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work, worker) for worker in range(4)]
        started.wait(timeout=PATIENCE_S)
        until_seen(lambda: collection.count().count >= 10)
        index.delete_collection(TENANT, "c")
        for worker in workers:
            worker.result()
