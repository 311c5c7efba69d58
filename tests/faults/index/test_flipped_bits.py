"""A bit that flips in a database: every answer is the true one or an error, none is silently wrong.

Set GROUNDWIRE_TEST_FLIPS to flip more of them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from groundwire_index import Collection, CollectionSpec, Index, Metric, SearchMode
from groundwire_index.errors import (
    DataLossError,
    FailedPreconditionError,
    GroundwireError,
    NotFoundError,
)
from groundwire_index.filters import Condition, Operator
from groundwire_index.records import Record, SearchQuery

from tests.unit.index.samples import TENANT, WITH_VECTOR, document, record

FLIPS = int(os.environ.get("GROUNDWIRE_TEST_FLIPS", "40"))
ROUNDS = 4
COUNT = 300
DIMENSION = 8
VECTORS = np.random.default_rng(3).standard_normal((COUNT, DIMENSION)).astype(np.float32)
WORDS = ("wind", "dome", "limit", "crane", "oxygen", "suit", "airlock")
EVEN = Condition("even", Operator.EQ, True)
LOW = Condition("n", Operator.LT, 40)

Answers = dict[str, Any]


def open_index(folder: Path) -> Index:
    return Index.open(
        folder, segment_bytes=4 * DIMENSION * 100, background=False, index_fields_from=0
    )


def sample(number: int) -> Record:
    random = Random(number)
    return Record(
        f"r{number}",
        VECTORS[number],
        f"{' '.join(random.choices(WORDS, k=12))} {number}",
        {"n": number, "even": number % 2 == 0},
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collections with everything in them that a database can hold."""
    folder = tmp_path_factory.mktemp("sound") / "index"
    with open_index(folder) as index:
        for name in ("c", "other"):
            index.create_collection(
                TENANT, CollectionSpec(name, Metric.COSINE, DIMENSION), idempotency_key=f"k{name}"
            )
        index.set_alias(TENANT, "alias", "c")
        collection = index.collection(TENANT, "c")
        for first in range(0, COUNT, 50):
            records = [sample(number) for number in range(first, first + 50)]
            collection.upsert(records, idempotency_key=f"u{first}")
        collection.replace_document(document("d"), [record("chunk", VECTORS[0], "a chunk of it")])
        collection.delete_ids([f"r{number}" for number in range(0, COUNT, 7)])
        collection.upsert([sample(number) for number in range(1, COUNT, 7)])
        collection.count(EVEN)
        collection.count(LOW)
        while collection.upkeep.index_field():
            pass
    return folder


def told(index: Index) -> Answers:
    """Everything that can be asked, each with its answer or its error."""
    answers: Answers = {}

    def ask(what: str, question: Callable[[Collection], Any]) -> None:
        try:
            answers[what] = question(index.collection(TENANT, "alias"))
        except NotFoundError as error:
            answers[what] = error.message
        except (DataLossError, FailedPreconditionError) as error:
            answers[what] = error

    for number in range(COUNT):
        ask(f"r{number}", lambda c, key=f"r{number}": shown(c.get([key], WITH_VECTOR)))
    ask("nothing", lambda c: c.get(["nothing"]))
    for where in (None, EVEN, LOW):
        ask(f"count {where}", lambda c, where=where: c.count(where).count)
        ask(f"scroll {where}", lambda c, where=where: list(scrolled(c, where)))
        for name, query in queries():
            query = SearchQuery(**query, top_k=20, filter=where)
            ask(f"{name} {where}", lambda c, query=query: hits(c, query))
    ask("document", lambda c: c.document("d"))
    ask("documents", lambda c: c.list_documents())
    ask("sequence", lambda c: c.info().sequence)
    for name in ("c", "other", "no such"):
        ask(f"found {name}", lambda _, name=name: index.collection(TENANT, name).spec)
    ask("names", lambda _: [info.name for info in index.list_collections(TENANT)])
    return answers


def queries() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "dense", {"vector": VECTORS[5], "exact": True}
    yield "lexical", {"text": "crane limits 17", "mode": SearchMode.LEXICAL}
    yield "hybrid", {"vector": VECTORS[9], "text": "oxygen", "mode": SearchMode.HYBRID}


def shown(records: Any) -> list[Any]:
    return [
        one and (one.id, one.text, one.metadata, one.document_id, vector_of(one)) for one in records
    ]


def vector_of(one: Record) -> list[float] | None:
    return None if one.vector is None else [float(value) for value in one.vector]


def scrolled(collection: Collection, where: Condition | None) -> Iterator[Any]:
    cursor = ""
    while True:
        page = collection.scroll(where, cursor=cursor, limit=100)
        yield from shown(page.records)
        cursor = page.next_cursor
        if not cursor:
            return


def hits(collection: Collection, query: SearchQuery) -> list[Any]:
    return [
        (hit.id, round(hit.score, 5), hit.record.text, hit.record.metadata)
        for hit in collection.search(query).hits
    ]


@pytest.fixture(scope="module")
def truth(sound: Path) -> Answers:
    with open_index(sound) as index:
        answers = told(index)
    assert not [one for one in answers.values() if isinstance(one, GroundwireError)]
    return answers


def check(folder: Path, truth: Answers) -> tuple[int, int]:
    """How many answers were right, and how many were errors; no other ones are."""
    try:
        with open_index(folder) as index:
            answers = told(index)
    except (DataLossError, FailedPreconditionError):
        return 0, len(truth)
    wrong = {
        what: (answer, truth[what])
        for what, answer in answers.items()
        if not isinstance(answer, GroundwireError) and answer != truth[what]
    }
    assert not wrong
    errors = sum(isinstance(answer, GroundwireError) for answer in answers.values())
    return len(answers) - errors, errors


@pytest.mark.parametrize("round_number", range(ROUNDS))
@pytest.mark.parametrize(("pattern", "share"), [("collections/*/*.db", 3), ("catalog.db", 1)])
def test_no_answer_is_silently_wrong(
    sound: Path, truth: Answers, tmp_path: Path, round_number: int, pattern: str, share: int
) -> None:
    for number in range(round_number, FLIPS * share // 4, ROUNDS):
        random = Random(f"{pattern} {number}")
        folder = tmp_path / str(number)
        shutil.copytree(sound, folder)
        file = max(folder.glob(pattern), key=lambda path: path.stat().st_size)
        data = bytearray(file.read_bytes())
        offset, bit = random.randrange(len(data)), random.randrange(8)
        data[offset] ^= 1 << bit
        file.write_bytes(data)
        print(f"flip {number}: byte {offset}, bit {bit} of {file}")
        right, errors = check(folder, truth)
        print(f"{right} answers were right, {errors} were errors")
        # What was mended stays mended.
        check(folder, truth)
        shutil.rmtree(folder)
