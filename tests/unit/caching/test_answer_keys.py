"""Whatever may change an answer changes its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from groundwire_index import Index
from groundwire_index.records import CollectionSpec, Metric, SearchMode
from groundwire_server.caching.answer_keys import AnswerKeys
from groundwire_server.embedders.sentence_transformers import SentenceTransformersEmbedder
from groundwire_server.engines.engine import Constraint, Message, Role, Sampling
from groundwire_server.engines.revision import Revision
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.engines.tools import Tool, ToolUse
from groundwire_server.grounding import prompt
from groundwire_server.grounding.request import AnswerRequest, CachePolicy, Grounding
from groundwire_server.identity import Identity, current_identity

from tests.unit.grounding.scripted_engine import ScriptedEngine

ASKED = AnswerRequest("r", messages=(Message(Role.USER, "Why?"),))
OTHER: dict[str, Any] = {
    "prompt": "Why?",
    "messages": (Message(Role.SYSTEM, "Be brief."), *ASKED.messages),
    "sampling": Sampling(seed=1),
    "session_id": "s",
    "subject": "ada",
    "constraint": Constraint(choice=("Yes",)),
    "tools": ToolUse((Tool("look"),)),
    "template_arguments": {"enable_thinking": False},
}
# What says how an answer is come by, and not what it is.
NO_MATTER: dict[str, Any] = {
    "request_id": "other",
    "priority": 7,
    "deadline": 1.0,
    "cache": CachePolicy.SEMANTIC,
}


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index") as index:
        yield index


@pytest.fixture(autouse=True)
def _caller() -> Iterator[None]:
    token = current_identity.set(Identity("alice"))
    yield
    current_identity.reset(token)


class Names:
    """The names that are given to answers, by a server with these settings."""

    def __init__(self, index: Index, *settings: int) -> None:
        self._settings = settings
        self._index = index
        self._embedder = SentenceTransformersEmbedder("all-MiniLM-L6-v2")

    async def of(
        self, request: AnswerRequest = ASKED, *, model: str = "m", **settings: object
    ) -> bytes:
        keys = AnswerKeys(lambda: self._index, self._embedder, *self._settings)
        served = ServedModel(ScriptedEngine([], model=model), revision=Revision(settings, {}))
        return (await keys.of(served, request, "alice")).name


def test_each_field_of_a_request_matters_or_is_known_not_to() -> None:
    # Grounding needs a collection: the tests of Generate have it.
    known = OTHER.keys() | NO_MATTER.keys() | {"grounding"}
    assert {field.name for field in fields(AnswerRequest)} == known


@pytest.mark.parametrize("field", OTHER)
async def test_another_request_has_another_answer(index: Index, field: str) -> None:
    names = Names(index)
    assert await names.of(replace(ASKED, **{field: OTHER[field]})) != await names.of()


@pytest.mark.parametrize("field", NO_MATTER)
async def test_how_it_is_come_by_makes_no_difference(index: Index, field: str) -> None:
    names = Names(index)
    assert await names.of(replace(ASKED, **{field: NO_MATTER[field]})) == await names.of()


async def test_another_model_or_the_same_with_other_weights_has_another(index: Index) -> None:
    names = Names(index)
    assert await names.of(model="n") != await names.of()
    assert await names.of(dtype="float16") != await names.of()
    assert await names.of(dtype="float16") == await names.of(dtype="float16")


async def test_weights_that_are_there_when_an_engine_is_started_again_have_other_answers(
    index: Index, tmp_path: Path
) -> None:
    keys = AnswerKeys(lambda: index, SentenceTransformersEmbedder("all-MiniLM-L6-v2"))
    revision = Revision({}, {"": str(tmp_path)})
    served = ServedModel(ScriptedEngine([]), revision=revision)
    names = set()
    for number in range(3):
        (tmp_path / f"{number}.safetensors").touch()
        async with revision.starting():
            pass
        names |= {(await keys.of(served, ASKED, "alice")).name for _ in range(2)}
    assert len(names) == 3


async def test_an_embedder_out_of_reach_keeps_nobody_from_an_answer(index: Index) -> None:
    index.create_collection("alice", CollectionSpec("notes", Metric.COSINE, 3))
    grounded = replace(ASKED, grounding=Grounding("notes", mode=SearchMode.LEXICAL))
    assert await Names(index).of(grounded) != await Names(index).of()


async def test_so_has_a_caller_with_other_scopes(index: Index) -> None:
    before = await Names(index).of()
    current_identity.set(Identity("alice", scopes=frozenset({"secret"})))
    assert await Names(index).of() != before


async def test_so_has_a_server_with_other_room_or_other_words_for_prompts(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await Names(index, 100).of()
    assert await Names(index, 100).of() == before
    assert await Names(index, 200).of() != before
    monkeypatch.setattr(prompt, "_RULES", "Answer as you like.")
    assert await Names(index, 100).of() != before
