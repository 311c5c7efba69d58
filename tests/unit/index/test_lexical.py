"""The keyword search against its plain definition, and what it takes for a word."""

from __future__ import annotations

import math
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from groundwire_index import Collection, Metric, Record, SearchMode, SearchQuery
from groundwire_index.filters import Condition, Filter, Operator
from groundwire_index.porter import stem
from groundwire_index.terms import query_terms, terms

from tests.unit.index.samples import hit_ids, pairs, record

VOCABULARY = ("comet", "dust", "filter", "dome", "wind", "night", "the", "of", "a", "Kuppel", "星")
SAMPLES = Path(__file__).parents[3] / "samples" / "source"


def words(text: str, where: Filter | None = None, top_k: int = 10) -> SearchQuery:
    return SearchQuery(text=text, mode=SearchMode.LEXICAL, filter=where, top_k=top_k)


def bm25(records: Mapping[str, Record], query: str) -> dict[str, float]:
    """The definition, text by text."""
    texts = {key: terms(one.text) for key, one in records.items() if one.text is not None}
    mean = sum(map(len, texts.values())) / max(1, len(texts))
    scores: dict[str, float] = {}
    for term in query_terms(query):
        holding = sum(term in text for text in texts.values())
        rarity = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
        for key, text in texts.items():
            if count := Counter(text)[term]:
                length = 1 - 0.4 + 0.4 * len(text) / mean
                score = rarity * count * (0.9 + 1) / (count + 0.9 * length)
                scores[key] = scores.get(key, 0.0) + score
    return scores


def best(
    records: Mapping[str, Record], query: str, where: Filter | None, top_k: int
) -> list[tuple[str, float]]:
    scores = bm25(records, query)
    counted = [key for key in scores if where is None or records[key].metadata["kept"]]
    return [(key, scores[key]) for key in sorted(counted, key=lambda key: (-scores[key], key))][
        :top_k
    ]


def drawn(rng: random.Random, key: str) -> Record:
    text = " ".join(rng.choices(VOCABULARY, k=rng.randint(1, 6)))
    return record(key, text=text, metadata={"kept": rng.random() < 0.2})


@pytest.mark.parametrize("seed", range(4))
def test_a_search_finds_what_the_definition_does(
    make: Callable[..., Collection], seed: int
) -> None:
    rng = random.Random(seed)
    collection = make("c", Metric.COSINE, 3)
    records: dict[str, Record] = {}
    for _ in range(12):
        batch = [drawn(rng, f"r{rng.randrange(3000)}") for _ in range(rng.choice((1, 400)))]
        collection.upsert(batch)
        records.update({one.id: one for one in batch})
        gone = rng.sample(sorted(records), len(records) // 10)
        collection.delete_ids(gone)
        for key in gone:
            del records[key]
        query = " ".join(rng.choices(VOCABULARY, k=rng.randint(1, 4)))
        where = rng.choice((None, Condition("kept", Operator.EQ, True)))
        top_k = rng.choice((1, 10, 1000))
        found = pairs(collection.search(words(query, where, top_k)))
        assert found == best(records, query, where, top_k), query


def test_nothing_is_left_of_words_that_were_deleted(collection: Collection, folder: Path) -> None:
    texts = ["a comet in the night", "night after night", "dust"]
    collection.upsert([record(str(n), text=text) for n, text in enumerate(texts)])
    collection.upsert([record("1", text="dust")])
    collection.delete_ids(["0", "2"])
    assert postings(folder) == [("dust",)]
    collection.delete_ids(["1"])
    assert postings(folder) == []


def postings(folder: Path) -> list[tuple[str]]:
    (database,) = folder.rglob("collection.db")
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT term FROM postings").fetchall()


def test_function_words_count_only_among_themselves(collection: Collection) -> None:
    texts = {"a": "to be or not to be", "b": "The dome is shut"}
    collection.upsert([record(key, text=text) for key, text in texts.items()])
    assert hit_ids(collection.search(words("What is to be done with the dome?"))) == ["b"]
    assert hit_ids(collection.search(words("to be or not to be"))) == ["a"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("für die Straße", "strasse"),
        ("Müller", "mu\u0308ller"),
        ("cafe\u0301s", "CAFÉ"),
        ("東京天文台の観測", "観測"),
        ("국립천문대에서", "천문대"),
        ("หอดูดาวแห่งชาติ", "ดูดาว"),
        ("\uff26\uff35\uff2c\uff2c", "full"),
        ("launch 🚀soon", "🚀"),
        ("❤\ufe0f", "❤"),
        ("co\u00adoperate", "cooperate"),
        ("Groundwire™ serves", "groundwire"),
        ("हिन्दी में", "हिन्दी"),
        ("İstanbul", "istanbul"),
        ("wind's", "winds"),
        ("snake_case", "case"),
    ],
)
def test_words_are_found_in_other_forms_and_scripts(
    collection: Collection, text: str, query: str
) -> None:
    collection.upsert([record("a", text=text), record("b", text="something else")])
    assert hit_ids(collection.search(words(query))) == ["a"]


def test_stems_are_those_of_sqlites_porter_tokenizer() -> None:
    vocabulary = sorted({word for path in SAMPLES.glob("*.md") for word in letters(path)})
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5 (word, tokenize = 'porter ascii')")
    connection.execute("CREATE VIRTUAL TABLE stems USING fts5vocab (words, instance)")
    connection.executemany("INSERT INTO words (rowid, word) VALUES (?, ?)", enumerate(vocabulary))
    theirs = dict(connection.execute("SELECT doc, term FROM stems"))
    assert len(vocabulary) > 500
    assert [stem(word) for word in vocabulary] == [theirs[n] for n in range(len(theirs))]


def letters(path: Path) -> list[str]:
    return re.findall("[a-z]+", path.read_text().lower())
