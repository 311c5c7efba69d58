"""A dataset in the layout of BEIR: documents, queries, and judgements of what is relevant.

    corpus.jsonl      {"_id": "…", "title": "…", "text": "…"}    a document on each line
    queries.jsonl     {"_id": "…", "text": "…"}                  a query on each line
    qrels/test.tsv    query-id TAB corpus-id TAB score           or qrels.tsv

Documents are read twice, once for their ids and once to be stored, and never kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwire_server.cli.evaluation.metrics import Grades

_COLUMNS = "query-id, corpus-id and a whole number, separated by tabs"


class DatasetError(Exception):
    """The dataset cannot be used; the message says which file and line, and why."""


@dataclass(frozen=True, slots=True)
class Document:
    """What is searched: title and text in one, as BEIR does."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Queries with their judgements, and where the documents are."""

    corpus: Path
    queries: Mapping[str, str]
    """Texts by id, of those for which something is relevant."""
    grades: Mapping[str, Grades]
    """By query id."""
    documents: int
    """Documents that have a text."""
    empty: int
    """Documents that have none, and are left out."""
    absent: int
    """Judgements of documents that are not in the corpus; they count as not found."""


def read_dataset(folder: Path) -> Dataset:
    """Read and check a dataset, all but the texts of its documents."""
    corpus = _existing(folder / "corpus.jsonl")
    stored = {document.id: bool(document.text) for document in _corpus(corpus)}
    queries = _queries(_existing(folder / "queries.jsonl"))
    path = _existing(folder / "qrels" / "test.tsv", folder / "qrels.tsv")
    grades = _judgements(path, queries)
    judged = [one for judgement in grades.values() for one in judgement]
    answerable = {key: found for key, found in grades.items() if max(found.values()) > 0}
    if not answerable:
        raise DatasetError(f"{path} judges nothing relevant: there is nothing to find")
    return Dataset(
        corpus=corpus,
        queries={key: queries[key] for key in answerable},
        grades=answerable,
        documents=sum(stored.values()),
        empty=len(stored) - sum(stored.values()),
        absent=sum(one not in stored for one in judged),
    )


def documents(dataset: Dataset) -> Iterator[Document]:
    """The documents that have a text, one by one."""
    return (document for document in _corpus(dataset.corpus) if document.text)


def _corpus(path: Path) -> Iterator[Document]:
    for key, line in _identified(path):
        yield Document(key, f"{line.text('title', '')} {line.text('text')}".strip())


def _queries(path: Path) -> dict[str, str]:
    return {key: line.text("text") for key, line in _identified(path)}


def _judgements(path: Path, queries: Mapping[str, str]) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        columns = line.split("\t")
        if number == 1 and columns[-1] == "score":
            continue
        try:
            query, document, grade = columns[0], columns[1], int(columns[2])
        except (IndexError, ValueError):
            raise _wrong(path, number, f"needs {_COLUMNS}, and has {line!r}") from None
        if query not in queries:
            raise _wrong(path, number, f'judges the query "{query}", which is not in queries.jsonl')
        if document in grades.setdefault(query, {}):
            raise _wrong(path, number, f'judges "{document}" for the query "{query}" again')
        grades[query][document] = grade
    return grades


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a JSONL file."""

    path: Path
    number: int
    fields: Mapping[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        value = self.fields.get(name, default)
        if not isinstance(value, str):
            why = "is missing" if value is None else f"is {json.dumps(value)[:40]}, not a text"
            raise _wrong(self.path, self.number, f'"{name}" {why}')
        return value


def _identified(path: Path) -> Iterator[tuple[str, _Line]]:
    """The objects of a file by their ids, none of which occurs twice."""
    seen: set[str] = set()
    for number, text in _lines(path):
        line = _Line(path, number, _parsed(path, number, text))
        key = line.text("_id")
        if not key or key in seen:
            raise _wrong(path, number, f'"_id" is "{key}" again' if key else '"_id" is empty')
        seen.add(key)
        yield key, line


def _parsed(path: Path, number: int, text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise _wrong(path, number, f"is not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(value, dict):
        raise _wrong(path, number, 'is not an object: {"_id": …, "text": …} is needed')
    return value


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers."""
    number = 0
    with path.open("rb") as file:
        for number, data in enumerate(file, 1):
            try:
                line = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise _wrong(path, number, f"is not UTF-8 at byte {error.start + 1}") from None
            if line.strip():
                yield number, line
    if not number:
        raise DatasetError(f"{path} is empty")


def _existing(*paths: Path) -> Path:
    for path in paths:
        if path.is_file():
            return path
    raise DatasetError(f"there is no {' or '.join(map(str, paths))}")


def _wrong(path: Path, number: int, why: str) -> DatasetError:
    return DatasetError(f"{path}, line {number:,}: {why}")
