"""Documents: stored with all their chunks, replaced whole, deleted whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric, Record, SearchMode
from groundwire_index.errors import (
    AlreadyExistsError,
    DataLossError,
    InvalidArgumentError,
    NotFoundError,
)
from groundwire_index.records import SearchQuery
from groundwire_index.transaction import Transaction

from tests.unit.index.samples import TENANT, Clock, document, hit_ids, ids, record, vector


def chunks(key: str, words: str, count: int) -> list[Record]:
    return [record(f"{key}#{n}", vector(1, n, 0), f"{words} chunk{n}") for n in range(count)]


def lexical(collection: Collection, text: str) -> list[str]:
    return sorted(hit_ids(collection.search(SearchQuery(text=text, mode=SearchMode.LEXICAL))))


def test_a_document_is_stored_with_its_chunks(collection: Collection, clock: Clock) -> None:
    written = collection.replace_document(document("d"), chunks("d", "comet", 3))
    expected = replace(
        document("d"),
        version=1,
        chunk_count=3,
        update_time=datetime.fromtimestamp(clock.time, UTC),
    )
    assert written.document == expected
    assert (written.sequence, written.replaced) == (1, False)
    assert collection.document("d") == expected
    assert collection.info().documents == 1
    assert [one.document_id for one in collection.scroll().records] == ["d"] * 3


def test_a_new_version_replaces_every_chunk(collection: Collection) -> None:
    collection.replace_document(document("d"), chunks("d", "comet", 4))
    collection.replace_document(document("other"), chunks("other", "comet", 1))
    written = collection.replace_document(document("d", content="1" * 64), chunks("d", "star", 2))
    assert (written.document.version, written.replaced) == (2, True)
    assert written.document.chunk_count == 2
    assert lexical(collection, "comet") == ["other#0"]
    assert lexical(collection, "star") == ["d#0", "d#1"]
    info = collection.info()
    assert (info.records, info.vectors, info.documents) == (3, 3, 2)
    found = collection.search(SearchQuery(vector(1, 3, 0), top_k=10))
    assert sorted(hit_ids(found)) == ["d#0", "d#1", "other#0"]


def test_a_refused_version_leaves_the_former_one(collection: Collection) -> None:
    before = collection.replace_document(document("d"), chunks("d", "comet", 2))
    with pytest.raises(InvalidArgumentError) as caught:
        collection.replace_document(document("d"), [*chunks("d", "star", 2), Record("x")])
    assert caught.value.violations[0].field == "records[2]"
    assert collection.document("d") == before.document
    assert lexical(collection, "comet") == ["d#0", "d#1"]
    assert lexical(collection, "star") == []


def test_a_version_whose_count_is_wrong_is_not_committed(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = collection.replace_document(document("d"), chunks("d", "comet", 2))
    insert = Transaction.insert

    def insert_and_lose_one(self: Transaction, *args: object) -> None:
        insert(self, *args)  # type: ignore[arg-type]
        self.connection.execute("UPDATE rows SET died = 0 WHERE id = 'd#1'")

    monkeypatch.setattr(Transaction, "insert", insert_and_lose_one)
    with pytest.raises(DataLossError, match="former version stays"):
        collection.replace_document(document("d"), chunks("d", "star", 2))
    assert collection.document("d") == before.document
    assert lexical(collection, "comet") == ["d#0", "d#1"]


def test_chunks_belong_to_one_document(collection: Collection) -> None:
    collection.upsert([record("loose", text="x")])
    collection.replace_document(document("d"), chunks("d", "comet", 1))
    for taken in ("loose", "d#0"):
        with pytest.raises(AlreadyExistsError, match=taken):
            collection.replace_document(document("e"), [record(taken, text="y")])
    with pytest.raises(InvalidArgumentError) as caught:
        collection.replace_document(document("e"), [record("e#0", text="y", document_id="d")])
    assert caught.value.violations[0].field == "records[0].document_id"
    assert collection.document("e") is None


def test_deleting_a_document_deletes_its_chunks(collection: Collection) -> None:
    collection.replace_document(document("d"), chunks("d", "comet", 3))
    collection.replace_document(document("e"), chunks("e", "comet", 1))
    gone = collection.delete_document("d")
    assert (gone.sequence, gone.count) == (3, 3)
    assert collection.document("d") is None
    assert lexical(collection, "comet") == ["e#0"]
    assert collection.info().documents == 1
    with pytest.raises(NotFoundError, match='"d"'):
        collection.delete_document("d")
    assert collection.replace_document(document("d"), []).document.version == 1


def test_records_that_name_a_document_go_with_it(collection: Collection) -> None:
    collection.upsert([record("a", document_id="d"), record("b", document_id="e")])
    assert collection.delete_document("d").count == 1
    assert collection.info().documents == 0
    assert ids(collection.scroll().records) == ["b"]


def test_a_repeated_delete_gives_the_first_answer(collection: Collection) -> None:
    collection.replace_document(document("d"), chunks("d", "comet", 3))
    first = collection.delete_document("d", idempotency_key="k")
    assert collection.delete_document("d", idempotency_key="k") == first


def test_documents_are_listed_by_id(collection: Collection) -> None:
    for key in ("b", "a", "ü", "c"):
        collection.replace_document(document(key), [])
    assert [one.id for one in collection.list_documents(limit=3)] == ["a", "b", "c"]
    assert [one.id for one in collection.list_documents(after="b")] == ["c", "ü"]


def test_documents_are_there_after_reopening(folder: Path, clock: Clock) -> None:
    with Index.open(folder, now=clock) as index:
        index.create_collection(TENANT, CollectionSpec("c", Metric.DOT, 3))
        written = index.collection(TENANT, "c").replace_document(
            document("d"), chunks("d", "comet", 2)
        )
    with Index.open(folder, now=clock) as index:
        assert index.collection(TENANT, "c").document("d") == written.document


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (document(""), "document.id"),
        (replace(document("d"), title="\ud800"), "document.title"),
        (replace(document("d"), page_count=-1), "document.page_count"),
        (replace(document("d"), metadata={"x": float("nan")}), "document.metadata.x"),
    ],
)
def test_bad_documents_are_refused(collection: Collection, bad: object, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        collection.replace_document(bad, [])  # type: ignore[arg-type]
    assert caught.value.violations[0].field == field
