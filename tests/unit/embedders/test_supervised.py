"""An embedder that has died is started again, and calls are told meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from groundwire_index.errors import UnavailableError
from groundwire_server.components import Components, State
from groundwire_server.embedders.embedder import EmbedKind
from groundwire_server.embedders.supervised import SupervisedEmbedder
from groundwire_server.parts import RunningEmbedder
from groundwire_server.supervision import LOOK_S

from tests.faults.server.application import Ticks
from tests.unit.retrieve.letters import LettersEmbedder


class Mortal(LettersEmbedder):
    """Dies when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.dead = False
        self.ended = asyncio.Event()

    async def check(self) -> None:
        if self.dead:
            raise UnavailableError("the core has died")

    async def close(self) -> None:
        self.ended.set()


async def test_an_embedder_that_has_died_is_started_again() -> None:
    first, second = Mortal(), Mortal()
    made = iter((first, second))
    ticks = Ticks()
    embedder = SupervisedEmbedder(lambda: next(made), sleep=ticks.sleep)
    components = Components([RunningEmbedder(embedder)])
    await components.start()
    vectors = (await embedder.embed(["dome"], EmbedKind.QUERY)).vectors

    first.dead = True
    await ticks.wake(LOOK_S)
    await ticks.asleep(0.5)
    with pytest.raises(
        UnavailableError, match=r"started again in 0.5 s: the core has died"
    ) as told:
        await embedder.embed(["dome"], EmbedKind.QUERY)
    assert told.value.reason == "EMBEDDER_RESTARTING"
    assert told.value.retry_after_s
    await components.check()
    assert components.condition_of("embedder").state is State.FAILED
    assert embedder.fingerprint == second.fingerprint
    assert embedder.count_tokens(["two words"]) == [2]

    await ticks.wake(0.5)
    await first.ended.wait()
    await components.check()
    assert components.condition_of("embedder").state is State.READY
    assert ((await embedder.embed(["dome"], EmbedKind.QUERY)).vectors == vectors).all()
    await components.close()
    assert second.ended.is_set()
