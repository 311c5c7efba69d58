"""Datasets as BEIR has them, and what is said of those that are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from groundwire_server.cli.evaluation.dataset import DatasetError, documents, read_dataset

DOCUMENTS = (
    {"_id": "d1", "title": "Comets", "text": "A comet has a tail."},
    {"_id": "d2", "title": "", "text": "Dust."},
    {"_id": "d3", "title": "", "text": " "},
)
QUERIES = ({"_id": "q1", "text": "tail"}, {"_id": "q2", "text": "dust"}, {"_id": "q3", "text": "x"})
JUDGEMENTS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t0\nq3\td2\t1\nq3\tgone\t1\n"


def lines(objects: tuple[dict[str, str], ...]) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus.jsonl").write_text(lines(DOCUMENTS))
    (tmp_path / "queries.jsonl").write_text(lines(QUERIES))
    (tmp_path / "qrels.tsv").write_text(JUDGEMENTS)
    return tmp_path


def test_a_dataset_is_read(folder: Path) -> None:
    dataset = read_dataset(folder)
    assert dataset.queries == {"q1": "tail", "q3": "x"}
    assert dataset.grades == {"q1": {"d1": 2}, "q3": {"d2": 1, "gone": 1}}
    assert (dataset.documents, dataset.empty, dataset.absent) == (2, 1, 1)
    found = {document.id: document.text for document in documents(dataset)}
    assert found == {"d1": "Comets A comet has a tail.", "d2": "Dust."}


def test_judgements_may_be_in_a_folder_and_have_no_heading(folder: Path) -> None:
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_bytes(b"\xef\xbb\xbfq2\td2\t1\r\n\r\n")
    assert read_dataset(folder).grades == {"q2": {"d2": 1}}


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_file_that_is_not_there_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DatasetError, match=rf"there is no .*{name}"):
        read_dataset(folder)


@pytest.mark.parametrize(
    ("name", "line", "content", "says"),
    [
        ("corpus.jsonl", 2, '{"_id": "a", "text": "x"}\n{nonsense', "is not JSON: .* at column 2"),
        ("corpus.jsonl", 1, "[1]", "is not an object"),
        ("corpus.jsonl", 1, '{"text": "x"}', '"_id" is missing'),
        ("corpus.jsonl", 1, '{"_id": "", "text": "x"}', '"_id" is empty'),
        ("corpus.jsonl", 1, '{"_id": 7, "text": "x"}', '"_id" is 7, not a text'),
        ("corpus.jsonl", 1, '{"_id": "a", "title": []}', r'"title" is \[\], not a text'),
        ("corpus.jsonl", 1, '{"_id": "a", "title": "x"}', '"text" is missing'),
        ("corpus.jsonl", 3, lines(DOCUMENTS[:2]) + lines(DOCUMENTS[:1]), '"_id" is "d1" again'),
        ("queries.jsonl", 2, '{"_id": "a", "text": "x"}\n\udcff', "is not UTF-8 at byte 1"),
        ("qrels.tsv", 2, "q1\td1\t1\nq1 d2 1", "needs query-id, corpus-id and a whole number"),
        ("qrels.tsv", 1, "q1\td1\t0.5", "needs query-id, corpus-id and a whole number"),
        ("qrels.tsv", 2, "q1\td1\t1\nq9\td1\t1", 'judges the query "q9", which is not in'),
        ("qrels.tsv", 2, "q1\td1\t1\nq1\td1\t1", 'judges "d1" for the query "q1" again'),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(
    folder: Path, name: str, line: int, content: str, says: str
) -> None:
    (folder / name).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DatasetError, match=f"{name}, line {line}: {says}"):
        read_dataset(folder)


def test_a_file_with_nothing_in_it_is_empty(folder: Path) -> None:
    (folder / "queries.jsonl").write_text("")
    with pytest.raises(DatasetError, match=r"queries\.jsonl is empty"):
        read_dataset(folder)


def test_there_must_be_something_to_find(folder: Path) -> None:
    (folder / "qrels.tsv").write_text("q1\td1\t0\n")
    with pytest.raises(DatasetError, match="judges nothing relevant"):
        read_dataset(folder)
