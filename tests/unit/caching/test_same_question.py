"""Which questions may have each other's answers."""

from __future__ import annotations

import pytest
from groundwire_server.caching.same_question import ask_the_same
from groundwire_server.embedders.embedder import EmbedKind
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.settings import Settings

from tests.unit.caching.question_pairs import DIFFERENT, SAME

LOOKS_ALIKE = [(kind, one, other) for kind, pairs in DIFFERENT.items() for one, other in pairs]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_these_ask_the_same(one: str, other: str) -> None:
    assert ask_the_same(one, other)
    assert ask_the_same(other, one)


@pytest.mark.parametrize(("kind", "one", "other"), LOOKS_ALIKE)
def test_these_look_alike_and_ask_something_else(kind: str, one: str, other: str) -> None:
    assert not ask_the_same(one, other)
    assert not ask_the_same(other, one)


def test_a_question_asks_the_same_as_itself_in_any_language() -> None:
    for question in ("Quand ouvre le dôme ?", "圆顶几点开门", "?", ""):
        assert ask_the_same(question, question)


async def test_questions_that_ask_the_same_are_above_the_floor() -> None:
    embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2")
    await embedder.start()
    texts = [text for pair in SAME for text in pair]
    vectors = (await embedder.embed(texts, EmbedKind.QUERY)).vectors
    await embedder.close()

    cosines = (vectors[::2] * vectors[1::2]).sum(axis=1)
    assert cosines.min() >= Settings().answer_cache_floor
