"""Summaries are made when they are due, of turns that are in none, and by one of two servers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from groundwire_index.errors import NotFoundError
from groundwire_server.engines.engine import Role
from groundwire_server.memory.background import Done
from groundwire_server.memory.due import Due, Named
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.retention import Policies
from groundwire_server.memory.session import NewTurn, Turn
from groundwire_server.memory.session_views import Described
from groundwire_server.memory.summaries.summarizing import Summarizing
from groundwire_server.memory.summaries.summary import Summary

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Joined:
    """Puts everything together, so many turns at once."""

    model = "joined"
    is_busy = False

    def __init__(self, at_once: int = 100) -> None:
        self.calls = 0
        self._at_once = at_once

    async def summarized(self, tenant: str, former: str, turns: Sequence[Turn]) -> tuple[str, int]:
        self.calls += 1
        taken = turns[: self._at_once]
        return " ".join([*filter(None, [former]), *(turn.content for turn in taken)]), len(taken)


def summarizing(
    sessions: RedisSessions, summarizer: Joined, after_tokens: int = 4
) -> Summarizing[Described]:
    return Summarizing(sessions.summaries, summarizer, after_tokens=after_tokens, clock=lambda: NOW)


@pytest.fixture
async def talk(sessions: RedisSessions, tenant: str) -> Named:
    session = await sessions.create(tenant, "ada")
    return Named(tenant, session.id)


async def say(sessions: RedisSessions, talk: Named, text: str) -> None:
    turns = [NewTurn(Role.USER, word) for word in text.split()]
    await sessions.append(talk.tenant, talk.session_id, turns)


async def summary_of(sessions: RedisSessions, talk: Named) -> Summary | None:
    return (await sessions.summaries.look(talk.tenant, talk.session_id)).summary


async def test_one_is_made_when_enough_was_said_and_goes_on_from_the_last(
    sessions: RedisSessions, talk: Named
) -> None:
    work = summarizing(sessions, Joined())
    await say(sessions, talk, "a b c")
    assert await work(talk) is Done.NOTHING
    await say(sessions, talk, "d")
    assert await work(talk) is Done.MADE
    assert await summary_of(sessions, talk) == Summary("a b c d", 1, 4, 4, "joined", NOW)
    await say(sessions, talk, "e f g")
    assert await work(talk) is Done.NOTHING
    await say(sessions, talk, "h i")
    assert await work(talk) is Done.MADE
    assert await summary_of(sessions, talk) == Summary("a b c d e f g h i", 1, 9, 9, "joined", NOW)


async def test_what_is_too_much_at_once_is_done_in_steps(
    sessions: RedisSessions, talk: Named
) -> None:
    work = summarizing(sessions, Joined(at_once=3))
    await say(sessions, talk, "a b c d e f g h")
    steps = [await work(talk) for _ in range(3)]
    assert steps == [Done.AGAIN, Done.MADE, Done.NOTHING]
    summary = await summary_of(sessions, talk)
    assert summary
    assert (summary.text, summary.last, summary.tokens) == ("a b c d e f", 6, 6)


async def test_what_was_forgotten_stays_out_of_the_next(
    sessions: RedisSessions, talk: Named
) -> None:
    work = summarizing(sessions, Joined())
    await say(sessions, talk, "secret b c d")
    await work(talk)
    assert await sessions.summaries.forget(talk.tenant, [talk.session_id]) == 1
    assert await work(talk) is Done.NOTHING
    await say(sessions, talk, "e f g h")
    assert await work(talk) is Done.MADE
    assert await summary_of(sessions, talk) == Summary("e f g h", 5, 8, 8, "joined", NOW)


async def test_what_is_forgotten_while_it_is_summarised_does_not_come_back(
    sessions: RedisSessions, talk: Named
) -> None:
    class Meanwhile(Joined):
        async def summarized(
            self, tenant: str, former: str, turns: Sequence[Turn]
        ) -> tuple[str, int]:
            await sessions.summaries.forget(tenant, [talk.session_id])
            return await super().summarized(tenant, former, turns)

    await say(sessions, talk, "secret b c d")
    assert await summarizing(sessions, Meanwhile())(talk) is Done.AGAIN
    summary = await summary_of(sessions, talk)
    assert summary
    assert (summary.text, summary.last) == ("", 4)


async def test_nothing_is_asked_of_a_model_that_somebody_waits_for(
    sessions: RedisSessions, talk: Named
) -> None:
    summarizer = Joined()
    summarizer.is_busy = True
    await say(sessions, talk, "a b c d")
    assert await summarizing(sessions, summarizer)(talk) is Done.BUSY
    assert summarizer.calls == 0


async def test_a_session_that_is_gone_has_none(sessions: RedisSessions, talk: Named) -> None:
    await sessions.delete(talk.tenant, talk.session_id)
    with pytest.raises(NotFoundError):
        await summarizing(sessions, Joined())(talk)


async def test_what_was_due_before_a_start_is_found_after_it(
    sessions: RedisSessions, talk: Named
) -> None:
    await say(sessions, talk, "a b c d")
    due = Due()

    def note(tenant: str, session: Described) -> None:
        if tenant == talk.tenant:
            due.note(tenant, session.life.session_id)

    await sessions.retention.sweep(Policies(), on_kept=note)
    assert await due.next() == talk
