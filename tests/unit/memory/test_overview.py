"""The summary in a context: where it goes, what it takes, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from groundwire_server.engines.engine import Role
from groundwire_server.memory.context import (
    Context,
    ContextItem,
    ContextPart,
    DropReason,
    build_context,
)
from groundwire_server.memory.known import HEADING, Recall, nothing
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.summaries.summary import Summary

from tests.unit.memory.test_context import WordCounter, numbers_of, session_of, words
from tests.unit.memory.test_known import QUERY, recalling

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TURNS = [(Role.USER, 5), (Role.ASSISTANT, 10)] * 4


async def built(
    sessions: RedisSessions,
    tenant: str,
    text: str,
    budget: int,
    *,
    turns: Sequence[tuple[Role, int]] = TURNS,
    recall: Recall = nothing,
) -> Context:
    session_id = await session_of(sessions, tenant, turns)
    store = sessions.summaries
    summary = Summary(text, 1, 6, 45, "m", NOW)
    assert await store.put(tenant, session_id, await store.look(tenant, session_id), summary)
    context = await build_context(
        sessions,
        tenant,
        session_id,
        query=QUERY,
        budget_tokens=budget,
        system_prompt="Be brief.",
        count_messages=WordCounter(),
        recall=recall,
    )
    report = context.report
    assert report.tokens == WordCounter().of(context.messages) <= budget
    assert sum(item.tokens for item in report.included) == report.tokens
    return context


async def test_it_comes_after_the_system_prompt_and_before_memories(
    sessions: RedisSessions, tenant: str
) -> None:
    context = await built(sessions, tenant, "They met.", 1000, recall=recalling("Sails."))
    told = "Summary of turns 1 to 6 of this conversation:\nThey met."
    assert context.messages[0].content == f"Be brief.\n\n{told}\n\n{HEADING}\n- Sails."
    # 9 words before it, and 2 of its own.
    assert context.report.included[1] == ContextItem(ContextPart.SUMMARY, 11, 1, 6)
    assert [item.part for item in context.report.included] == [
        ContextPart.SYSTEM_PROMPT,
        ContextPart.SUMMARY,
        ContextPart.MEMORY,
        ContextPart.TURN,
        ContextPart.QUERY,
    ]
    assert numbers_of(context) == list(range(1, 9))


async def test_it_goes_before_turns_and_leaves_them_half(
    sessions: RedisSessions, tenant: str
) -> None:
    # 3 and 4 for each of two messages, 2 words each: 15 are taken, 100 are left.
    whole = await built(sessions, tenant, words(41), 115)
    assert whole.report.included[1].tokens == 50
    assert numbers_of(whole) == [5, 6, 7, 8]
    too_long = await built(sessions, tenant, words(42), 115)
    assert numbers_of(too_long) == list(range(1, 9))
    assert too_long.report.dropped == (
        ContextItem(ContextPart.SUMMARY, 51, 1, 6, DropReason.BUDGET),
    )


async def test_what_was_forgotten_says_nothing(sessions: RedisSessions, tenant: str) -> None:
    context = await built(sessions, tenant, "", 1000)
    assert context.messages[0].content == "Be brief."
    assert context.report.dropped == ()
