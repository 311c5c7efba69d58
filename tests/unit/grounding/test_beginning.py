"""Which model a request is given to."""

from __future__ import annotations

import pytest
from groundwire_index.errors import UnavailableError
from groundwire_server.engines.breaker import Breaker
from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.models import Candidates
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.beginning import begun
from groundwire_server.grounding.conversation import conversation_of
from groundwire_server.grounding.prepare import Material
from groundwire_server.grounding.request import AnswerRequest
from groundwire_server.grounding.stopwatch import Stopwatch

from tests.unit.grounding.scripted_engine import ScriptedEngine, saying


class Uncounted(ScriptedEngine):
    """Is somewhere else, where it takes long to find that it is not there."""

    async def count_tokens(self, content: object, template: object = None) -> int:
        pytest.fail("it was asked for tokens")


async def test_a_model_that_is_left_alone_is_not_asked_for_tokens_either() -> None:
    asked = (Message(Role.USER, "Why?"),)
    material = Material(
        AnswerRequest("r", messages=asked), "t", 64, 64, conversation=conversation_of(asked)
    )
    breaker = Breaker("broken", failures=1)
    with pytest.raises(UnavailableError), breaker.attempt():
        raise UnavailableError("it has died")
    broken = ServedModel(Uncounted([], model="broken", context_length=99), breaker=breaker)
    other = ServedModel(ScriptedEngine(saying("Because."), model="other", context_length=99))
    async with begun(
        Candidates((broken,), (other,)), material, Stopwatch(lambda: 0.0)
    ) as beginning:
        assert beginning.model is other
        assert "it has died" in beginning.instead_of
