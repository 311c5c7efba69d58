"""Documents: a new version takes the place of the old with all its chunks, or not at all."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from groundwire_index.backend import CollectionBackend
from groundwire_index.errors import AlreadyExistsError, NotFoundError
from groundwire_index.filters import DOCUMENT_ID, Condition, Operator
from groundwire_index.records import Record

from tests.unit.index.samples import Clock, document, ids, record, vector


def chunks(document_id: str, version: int, count: int) -> list[Record]:
    return [
        Record(f"{document_id}#{number}", vector(1, 1, number), f"version {version}")
        for number in range(count)
    ]


def of(document_id: str) -> Condition:
    return Condition(DOCUMENT_ID, Operator.EQ, document_id)


def test_a_document_is_stored_with_its_chunks(collection: CollectionBackend, clock: Clock) -> None:
    given = replace(document("é 'd'"), metadata={"lang": ["de", 1, None]})
    written = collection.replace_document(given, chunks(given.id, 1, 3))
    assert (written.sequence, written.replaced) == (1, False)
    stored = collection.document(given.id)
    assert stored == written.document
    now = datetime.fromtimestamp(clock(), UTC)
    assert stored == replace(given, version=1, chunk_count=3, update_time=now)
    assert collection.document("other") is None
    assert ids(collection.scroll(of(given.id)).records) == [f"{given.id}#{n}" for n in range(3)]
    info = collection.info()
    assert (info.records, info.vectors, info.documents) == (3, 3, 1)


@pytest.mark.parametrize(("before", "after"), [(3, 5), (5, 2), (2, 2)])
def test_a_new_version_replaces_every_chunk(
    collection: CollectionBackend, before: int, after: int
) -> None:
    collection.upsert([record("other")])
    collection.replace_document(document("d"), chunks("d", 1, before))
    written = collection.replace_document(document("d"), chunks("d", 2, after))
    assert (written.document.version, written.replaced, written.sequence) == (2, True, 3)
    found = collection.scroll(of("d")).records
    assert [(one.id, one.text) for one in found] == [(f"d#{n}", "version 2") for n in range(after)]
    assert (collection.info().records, collection.info().documents) == (after + 1, 1)


def test_no_read_sees_part_of_a_new_version(collection: CollectionBackend) -> None:
    sizes = {number: 2 + number % 5 for number in range(25)}
    collection.replace_document(document("d"), chunks("d", 0, sizes[0]))
    done = threading.Event()

    def ingest() -> None:
        for version in range(1, 25):
            collection.replace_document(document("d"), chunks("d", version, sizes[version]))
        done.set()

    thread = threading.Thread(target=ingest)
    thread.start()
    looks = 0
    while not done.is_set() or not looks:
        found = collection.scroll(of("d")).records
        (version,) = {int((one.text or "").removeprefix("version ")) for one in found}
        assert len(found) == sizes[version]
        looks += 1
    thread.join()


def test_a_chunk_of_another_document_is_left_alone(collection: CollectionBackend) -> None:
    collection.replace_document(document("a"), [Record("mine", vector(1, 0, 0))])
    collection.upsert([record("free")])
    for taken, owner in (("mine", 'document "a"'), ("free", "no document")):
        with pytest.raises(AlreadyExistsError, match=f"belongs to {owner}") as raised:
            collection.replace_document(document("b"), [Record(taken, vector(0, 1, 0))])
        assert raised.value.reason == "RECORD_OF_ANOTHER_DOCUMENT"
    assert collection.document("b") is None
    assert collection.info().sequence == 2


def test_a_document_is_deleted_with_its_chunks(collection: CollectionBackend) -> None:
    collection.replace_document(document("d"), chunks("d", 1, 2))
    collection.upsert([record("loose", document_id="d"), record("kept", document_id="e")])
    assert collection.delete_document("d", idempotency_key="k").count == 3
    assert collection.delete_document("d", idempotency_key="k").count == 3
    assert collection.document("d") is None
    assert collection.list_documents() == []
    assert ids(collection.scroll().records) == ["kept"]
    with pytest.raises(NotFoundError, match='no document "d"'):
        collection.delete_document("d")
    assert collection.delete_document("e").count == 1
    assert collection.replace_document(document("d"), chunks("d", 1, 1)).document.version == 1


def test_documents_are_listed_in_order_of_id(collection: CollectionBackend) -> None:
    for key in ("b", "é", "a", "B", "a1", "🦊"):
        collection.replace_document(document(key), [Record(f"{key}#", vector(1, 0, 0))])
    listed = [one.id for one in collection.list_documents()]
    assert listed == ["B", "a", "a1", "b", "é", "🦊"]
    assert [one.id for one in collection.list_documents(after="a", limit=2)] == ["a1", "b"]
    assert collection.list_documents(after="🦊") == []
