"""Memories in a context: which go in, what they leave room for, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from groundwire_index.errors import (
    DataLossError,
    FailedPreconditionError,
    GroundwireError,
    UnavailableError,
)
from groundwire_server.engines.engine import Role
from groundwire_server.memory.context import (
    Context,
    ContextItem,
    ContextPart,
    DropReason,
    build_context,
)
from groundwire_server.memory.known import HEADING, Recall
from groundwire_server.memory.memories.memory import Memory, MemoryKind
from groundwire_server.memory.redis_sessions import RedisSessions
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.memory.test_context import WordCounter, session_of, words

NOW = datetime(2026, 5, 1, tzinfo=UTC)
QUERY = "what now"


def memory(text: str, number: int = 0) -> Memory:
    return Memory(f"m{number}", "ada", text, MemoryKind.FACT, 0.5, (), NOW, NOW, f"m{number}")


def recalling(*texts: str) -> Recall:
    async def recall(tenant: str, subject: str, query: str) -> Sequence[Memory]:
        assert tenant
        assert (subject, query) == ("ada", QUERY)
        return [memory(text, number) for number, text in enumerate(texts)]

    return recall


async def built(
    sessions: RedisSessions,
    tenant: str,
    recall: Recall,
    budget: int,
    *,
    turns: Sequence[tuple[Role, int]] = (),
    query: str = QUERY,
    system_prompt: str = "",
) -> Context:
    context = await build_context(
        sessions,
        tenant,
        await session_of(sessions, tenant, turns),
        query=query,
        budget_tokens=budget,
        system_prompt=system_prompt,
        count_messages=WordCounter(),
        recall=recall,
    )
    report = context.report
    assert report.tokens == WordCounter().of(context.messages) <= budget
    if system_prompt or query:
        assert sum(item.tokens for item in report.included) == report.tokens
    return context


async def test_they_join_the_system_prompt_best_first(sessions: RedisSessions, tenant: str) -> None:
    recall = recalling("Likes\n\ntea.", "Sails.")
    context = await built(sessions, tenant, recall, 1000, system_prompt="Be brief.")
    system, question = context.messages
    assert system.role is Role.SYSTEM
    assert system.content == f"Be brief.\n\n{HEADING}\n- Likes tea.\n- Sails."
    assert question.content == QUERY
    assert [(item.part, item.memory_ids) for item in context.report.included] == [
        (ContextPart.SYSTEM_PROMPT, ()),
        (ContextPart.MEMORY, ("m0", "m1")),
        (ContextPart.QUERY, ()),
    ]
    assert context.report.dropped == ()


async def test_without_a_system_prompt_they_are_one(sessions: RedisSessions, tenant: str) -> None:
    context = await built(sessions, tenant, recalling("Sails."), 1000)
    assert context.messages[0].content == f"{HEADING}\n- Sails."


async def test_they_take_a_quarter_and_turns_the_rest(sessions: RedisSessions, tenant: str) -> None:
    texts = [words(8) for _ in range(10)]
    turns = [(Role.USER, 4)] * 40
    context = await built(sessions, tenant, recalling(*texts), 209, turns=turns)
    memories = next(one for one in context.report.included if one.part is ContextPart.MEMORY)
    # 9 of the query; of 200 left, 50: 4 of a message, 6 of the heading, 9 of each.
    assert (memories.memory_ids, memories.tokens) == (("m0", "m1", "m2", "m3"), 46)
    left_out, *_ = context.report.dropped
    assert left_out == ContextItem(
        ContextPart.MEMORY,
        6 * 9,
        why=DropReason.BUDGET,
        memory_ids=tuple(f"m{number}" for number in range(4, 10)),
    )
    assert sum(one.role is Role.USER for one in context.messages) == (209 - 9 - 46) // 8 + 1


async def test_without_a_query_nothing_is_recalled(sessions: RedisSessions, tenant: str) -> None:
    turns = [(Role.USER, 4)]
    context = await built(sessions, tenant, recalling("Sails."), 100, turns=turns, query="")
    assert [item.part for item in context.report.included] == [ContextPart.TURN]


@pytest.mark.parametrize("error", [FailedPreconditionError("other"), UnavailableError("down")])
async def test_a_context_without_memories_is_better_than_none(
    sessions: RedisSessions, tenant: str, error: GroundwireError
) -> None:
    context = await built(sessions, tenant, failing(error), 100)
    assert [message.content for message in context.messages] == [QUERY]
    assert context.report.dropped == (
        ContextItem(ContextPart.MEMORY, 0, why=DropReason.UNAVAILABLE),
    )


async def test_what_is_damaged_is_told(sessions: RedisSessions, tenant: str) -> None:
    with pytest.raises(DataLossError):
        await built(sessions, tenant, failing(DataLossError("damaged")), 100)


def failing(error: GroundwireError) -> Recall:
    async def recall(tenant: str, subject: str, query: str) -> Sequence[Memory]:
        raise error

    return recall


@settings(
    max_examples=30,
)
@given(
    texts=st.lists(st.integers(1, 20).map(words), max_size=10),
    turns=st.lists(
        st.tuples(st.sampled_from([Role.USER, Role.ASSISTANT]), st.integers(1, 9)), max_size=9
    ),
    budget=st.integers(12, 200),
    system_prompt=st.sampled_from(["", "brief"]),
)
async def test_the_budget_holds_and_the_report_is_exact(
    sessions: RedisSessions,
    tenant: str,
    texts: list[str],
    turns: list[tuple[Role, int]],
    budget: int,
    system_prompt: str,
) -> None:
    context = await built(
        sessions,
        tenant,
        recalling(*texts),
        max(budget, 15),
        turns=turns,
        system_prompt=system_prompt,
    )
    items = (*context.report.included, *context.report.dropped)
    told = [key for item in items for key in item.memory_ids]
    assert told == [f"m{number}" for number in range(len(texts))]
