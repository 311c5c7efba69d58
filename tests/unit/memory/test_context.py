"""What goes into a context, what does not, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import uuid4

import pytest
from groundwire_index.errors import LimitExceededError, NotFoundError
from groundwire_server.engines.engine import Message, Role
from groundwire_server.memory.context import Context, ContextPart, DropReason, build_context
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn, Turn
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.conformance.sessions.servers import SetClock, closing, sessions_on

OVERHEAD = 3
PER_MESSAGE = 4

USER, ASSISTANT, TOOL, SYSTEM = Role.USER, Role.ASSISTANT, Role.TOOL, Role.SYSTEM


class WordCounter:
    """Counts as a chat template does: so much for a chat, for each message, for each word."""

    def __init__(self, words_per_token: float = 1.0) -> None:
        self.calls = 0
        self._words_per_token = words_per_token

    def of(self, messages: Sequence[Message]) -> int:
        words = sum(len(message.content.split()) for message in messages)
        return OVERHEAD + PER_MESSAGE * len(messages) + round(words / self._words_per_token)

    async def __call__(self, messages: Sequence[Message]) -> int:
        assert messages
        self.calls += 1
        return self.of(messages)


def words(count: int) -> str:
    return " ".join(["word"] * count)


async def session_of(
    sessions: RedisSessions, tenant: str, turns: Sequence[tuple[Role, int]]
) -> str:
    """A session with turns of so many words each, all different."""
    session = await sessions.create(tenant, "ada")
    new = [
        NewTurn(role, f"{number} {words(length - 1)}".strip())
        for number, (role, length) in enumerate(turns, start=1)
    ]
    for start in range(0, len(new), 100):
        await sessions.append(tenant, session.id, new[start : start + 100])
    return session.id


async def context_of(
    sessions: RedisSessions,
    tenant: str,
    session_id: str,
    budget: int,
    *,
    query: str = "",
    system_prompt: str = "",
    count: WordCounter | None = None,
) -> Context:
    return await build_context(
        sessions,
        tenant,
        session_id,
        query=query,
        budget_tokens=budget,
        system_prompt=system_prompt,
        count_messages=count or WordCounter(),
    )


def numbers_of(context: Context) -> list[int]:
    """The turns among the messages, by the number that each begins with."""
    return [int(m.content.split()[0]) for m in context.messages if m.content[0].isdigit()]


EXCHANGES = [(USER, 5), (ASSISTANT, 10)] * 4


async def test_everything_goes_in_when_there_is_room(sessions: RedisSessions, tenant: str) -> None:
    session_id = await session_of(sessions, tenant, EXCHANGES)
    count = WordCounter()
    built = await context_of(
        sessions, tenant, session_id, 1000, query="why so", system_prompt="be brief", count=count
    )
    roles = [message.role for message in built.messages]
    assert roles == [SYSTEM, *[USER, ASSISTANT] * 4, USER]
    assert built.messages[0].content == "be brief"
    assert built.messages[-1].content == "why so"
    assert numbers_of(built) == list(range(1, 9))
    report = built.report
    assert report.tokens == count.of(built.messages)
    assert (report.budget_tokens, report.head, report.dropped) == (1000, 8, ())
    assert [item.part for item in report.included] == [
        ContextPart.SYSTEM_PROMPT,
        ContextPart.TURN,
        ContextPart.QUERY,
    ]
    assert (report.included[1].first_turn, report.included[1].last_turn) == (1, 8)
    assert sum(item.tokens for item in report.included) == report.tokens


async def test_the_newest_whole_exchanges_go_in_and_the_rest_is_reported(
    sessions: RedisSessions, tenant: str
) -> None:
    session_id = await session_of(sessions, tenant, EXCHANGES)
    # One exchange takes 23 tokens, the query 3 + 4 + 1; there is room for 2.9 exchanges.
    built = await context_of(sessions, tenant, session_id, 8 + 66, query="why")
    assert numbers_of(built) == [5, 6, 7, 8]
    assert built.report.tokens == 8 + 46
    # The answer of the third would fit without its question, and is useless so.
    assert [
        (item.first_turn, item.last_turn, item.tokens, item.why) for item in built.report.dropped
    ] == [(1, 3, 20, DropReason.BUDGET), (4, 4, 10, DropReason.INCOMPLETE_EXCHANGE)]


@pytest.mark.parametrize(("budget", "fitting"), [(25, 0), (26, 1), (48, 1), (49, 2), (95, 4)])
async def test_the_budget_is_used_to_the_last_token(
    sessions: RedisSessions, tenant: str, budget: int, fitting: int
) -> None:
    session_id = await session_of(sessions, tenant, EXCHANGES)
    built = await context_of(sessions, tenant, session_id, budget)
    assert len(built.messages) == 2 * fitting


async def test_a_tool_result_stands_with_its_call(sessions: RedisSessions, tenant: str) -> None:
    turns = [(USER, 2), (ASSISTANT, 2), (USER, 5), (ASSISTANT, 50), (TOOL, 5), (ASSISTANT, 5)]
    session_id = await session_of(sessions, tenant, turns)
    assert numbers_of(await context_of(sessions, tenant, session_id, 60)) == []
    assert numbers_of(await context_of(sessions, tenant, session_id, 90)) == [3, 4, 5, 6]


async def test_instructions_of_the_session_join_the_one_system_message(
    sessions: RedisSessions, tenant: str
) -> None:
    turns = [(SYSTEM, 2), (USER, 2), (ASSISTANT, 2), (SYSTEM, 3), (USER, 2)]
    session_id = await session_of(sessions, tenant, turns)
    built = await context_of(sessions, tenant, session_id, 1000, system_prompt="be brief")
    assert [message.role for message in built.messages] == [SYSTEM, USER, ASSISTANT, USER]
    assert built.messages[0].content == "be brief\n\n1 word\n\n4 word word"
    alone = await context_of(sessions, tenant, session_id, 1000)
    assert alone.messages[0].content == "1 word\n\n4 word word"


async def test_an_empty_session_gives_the_prompt_and_the_query(
    sessions: RedisSessions, tenant: str
) -> None:
    session_id = await session_of(sessions, tenant, [])
    built = await context_of(sessions, tenant, session_id, 20, query="why", system_prompt="be")
    assert [message.content for message in built.messages] == ["be", "why"]
    nothing = await context_of(sessions, tenant, session_id, 1)
    assert (nothing.messages, nothing.report.tokens) == ((), 0)


async def test_a_prompt_and_a_query_that_do_not_fit_are_refused_with_the_numbers(
    sessions: RedisSessions, tenant: str
) -> None:
    session_id = await session_of(sessions, tenant, EXCHANGES)
    with pytest.raises(LimitExceededError) as raised:
        await context_of(sessions, tenant, session_id, 20, query=words(5), system_prompt=words(5))
    assert raised.value.metadata == {"needed": "21", "budget": "20"}
    built = await context_of(
        sessions, tenant, session_id, 21, query=words(5), system_prompt=words(5)
    )
    assert built.report.tokens == 21


async def test_an_unknown_session_is_not_found(sessions: RedisSessions, tenant: str) -> None:
    with pytest.raises(NotFoundError):
        await context_of(sessions, tenant, "nowhere", 100)


@pytest.mark.parametrize("words_per_token", [0.25, 3.0])
async def test_a_model_that_counts_otherwise_than_the_store_fills_its_budget_too(
    sessions: RedisSessions, tenant: str, words_per_token: float
) -> None:
    session_id = await session_of(sessions, tenant, [(USER, 20), (ASSISTANT, 60)] * 100)
    count = WordCounter(words_per_token)
    built = await context_of(sessions, tenant, session_id, 1000, query="why", count=count)
    turns = (await sessions.recent(tenant, session_id, limit=len(numbers_of(built)) + 2)).turns
    one_more = [Message(turn.role, turn.content) for turn in turns]
    assert count.of(built.messages) == built.report.tokens <= 1000
    assert count.of([*one_more, built.messages[-1]]) > 1000


async def test_an_exchange_of_which_only_the_end_was_read_is_not_taken_for_a_whole_one(
    sessions: RedisSessions, tenant: str
) -> None:
    session_id = await session_of(sessions, tenant, [(USER, 1), *[(ASSISTANT, 20)] * 60])
    built = await context_of(sessions, tenant, session_id, 200, count=WordCounter(10))
    assert built.messages == ()
    (older, newer) = built.report.dropped
    assert (older.first_turn, newer.last_turn) == (1, 61)
    assert older.last_turn + 1 == newer.first_turn


async def test_the_work_does_not_grow_with_the_session(
    sessions: RedisSessions, tenant: str
) -> None:
    counts, reads = [], []
    for exchanges in (50, 3000):
        session_id = await session_of(sessions, tenant, [(USER, 8), (ASSISTANT, 12)] * exchanges)
        count = WordCounter()
        reading = CountingReads(sessions)
        built = await build_context(
            reading,
            tenant,
            session_id,
            query="why",
            budget_tokens=500,
            system_prompt="be brief",
            count_messages=count,
        )
        assert built.report.head == 2 * exchanges
        counts.append(count.calls)
        reads.append(reading.turns_read)
    assert counts[0] == counts[1] <= 6
    assert reads[0] == reads[1]


async def test_a_context_is_one_command_to_redis(redis_server: RedisServer, tenant: str) -> None:
    async def commands() -> int:
        async with Redis.from_url(redis_server.url) as client:
            stats = await client.info("commandstats")
        return sum(
            stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha")
        )

    async with closing(sessions_on(redis_server, clock=SetClock())) as sessions:
        session_id = await session_of(sessions, tenant, EXCHANGES)
        # The first time, Redis may have to be given the script.
        await context_of(sessions, tenant, session_id, 1000)
        before = await commands()
        built = await context_of(sessions, tenant, session_id, 1000)
        assert await commands() == before + 1
    assert len(built.messages) == 8


class CountingReads:
    """The session store, with a count of the turns that were read from it."""

    def __init__(self, sessions: RedisSessions) -> None:
        self._sessions = sessions
        self.turns_read = 0

    async def latest(self, *args: object, **options: object) -> object:
        read = await self._sessions.latest(*args, **options)  # type: ignore[arg-type]
        self.turns_read += len(read.turns)
        return read

    async def recent(self, *args: object, **options: object) -> object:
        read = await self._sessions.recent(*args, **options)  # type: ignore[arg-type]
        self.turns_read += len(read.turns)
        return read


async def test_turns_that_are_appended_meanwhile_are_not_seen(
    sessions: RedisSessions, tenant: str
) -> None:
    session_id = await session_of(sessions, tenant, EXCHANGES)

    class AppendingCounter(WordCounter):
        async def __call__(self, messages: Sequence[Message]) -> int:
            # The query is counted before the session is read.
            if self.calls:
                await sessions.append(tenant, session_id, [NewTurn(USER, "99 late")])
            return await super().__call__(messages)

    count = AppendingCounter()
    built = await context_of(sessions, tenant, session_id, 1000, query="why", count=count)
    assert built.report.head == 8
    assert numbers_of(built) == list(range(1, 9))
    assert built.report.dropped == ()


chats = st.lists(
    st.tuples(
        st.sampled_from([USER, USER, ASSISTANT, ASSISTANT, TOOL, SYSTEM]), st.integers(1, 30)
    ),
    max_size=60,
)


@settings(
    max_examples=80,
)
@given(
    chat=chats,
    budget=st.integers(1, 700),
    query=st.sampled_from(["", "why", words(9)]),
    system_prompt=st.sampled_from(["", "be brief"]),
    words_per_token=st.sampled_from([0.5, 1.0, 2.0]),
)
async def test_a_context_is_a_whole_end_of_the_session_within_the_budget(
    sessions: RedisSessions,
    chat: list[tuple[Role, int]],
    budget: int,
    query: str,
    system_prompt: str,
    words_per_token: float,
) -> None:
    tenant = str(uuid4())
    session_id = await session_of(sessions, tenant, chat)
    count = WordCounter(words_per_token)
    build = partial(
        context_of, sessions, tenant, session_id, budget, query=query, system_prompt=system_prompt
    )
    bare = messages_of([], query, system_prompt)
    if bare and count.of(bare) > budget:
        with pytest.raises(LimitExceededError):
            await build(count=count)
        return
    built = await build(count=count)
    turns = (await sessions.turns(tenant, session_id, after=0, limit=1000)).turns
    included = turns_in(built, turns)
    report = built.report

    assert report.tokens <= budget
    assert report.tokens == (count.of(built.messages) if built.messages else 0)
    assert sum(item.tokens for item in report.included) == report.tokens
    assert all(item.tokens >= 0 for item in (*report.included, *report.dropped))

    # What is spoken is the end of the session, in order.
    spoken = [m.content for m in built.messages if m.role is not SYSTEM]
    expected = [turn.content for turn in included if turn.role is not SYSTEM]
    assert spoken == [*expected, *([query] if query else [])]
    assert [m.role for m in built.messages[1:]].count(SYSTEM) == 0

    # It begins at a question, or at the beginning.
    assert not included or included[0].role is USER or included[0].number == 1

    # Included and dropped together are all turns, in order and without a gap.
    runs = [i for i in (*report.dropped, *report.included) if i.part is ContextPart.TURN]
    covered = [n for run in runs for n in range(run.first_turn, run.last_turn + 1)]
    assert covered == [turn.number for turn in turns]
    assert all((item.why is not None) == (item in report.dropped) for item in runs)
    dropped = turns[: len(turns) - len(included)]
    assert sum(item.tokens for item in report.dropped) == sum(t.token_count for t in dropped)

    # One exchange more would not have fitted.
    if dropped:
        start = max([t.number for t in dropped if t.role is USER], default=1)
        longer = messages_of(turns[start - 1 :], query, system_prompt)
        assert count.of(longer) > budget


def turns_in(built: Context, turns: Sequence[Turn]) -> Sequence[Turn]:
    runs = [item for item in built.report.included if item.part is ContextPart.TURN]
    assert len(runs) <= 1
    return turns[runs[0].first_turn - 1 : runs[0].last_turn] if runs else []


def messages_of(turns: Sequence[Turn], query: str, system_prompt: str) -> list[Message]:
    system = "\n\n".join(
        filter(None, [system_prompt, *(t.content for t in turns if t.role is SYSTEM)])
    )
    messages = [Message(SYSTEM, system)] if system else []
    messages += [Message(t.role, t.content) for t in turns if t.role is not SYSTEM]
    return [*messages, *([Message(USER, query)] if query else [])]
