"""What every session store does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from groundwire_index.errors import AlreadyExistsError, ConflictError, NotFoundError
from groundwire_server.engines.engine import Role
from groundwire_server.engines.tools import ToolCall
from groundwire_server.memory.redis_sessions import MAX_READ_BYTES
from groundwire_server.memory.session import Answer, NewTurn, Sessions

from tests.patience import until

# Ids that would mean something to Redis, were they taken as they are.
ODD_IDS = ["a:b", "{x}", "}{", "a}b{c", "ü/☃", "%7B", "*", "a b\n", "session", "x" * 128]


def say(*contents: str) -> list[NewTurn]:
    return [NewTurn(Role.USER, content) for content in contents]


async def contents_of(sessions: Sessions, tenant: str, session_id: str) -> list[str]:
    page = await sessions.turns(tenant, session_id, after=0, limit=1000)
    assert [turn.number for turn in page.turns] == list(range(1, page.head + 1))
    return [turn.content for turn in page.turns]


async def is_gone(sessions: Sessions, tenant: str, session_id: str) -> bool:
    try:
        await sessions.get(tenant, session_id)
    except NotFoundError:
        return True
    return False


def call(call_id: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(call_id, "look", arguments)


# --- calls of tools ---


async def test_calls_and_results_are_read_as_they_were_appended(
    sessions: Sessions, tenant: str
) -> None:
    """Also by a fork; a turn with them is another than one without."""
    calls = (call("c-1", '{"at": "öffnet ☃"}'), call("c-2"))
    answer = Answer("small", 1.5, 0.25)
    new = [
        NewTurn(Role.USER, "Is it open?"),
        NewTurn(Role.ASSISTANT, "", tool_calls=calls, answer=answer),
        NewTurn(Role.TOOL, "It is.", name="c-1"),
        NewTurn(Role.ASSISTANT, "Yes", {"a": 1}, ("chunk",), tool_calls=calls[:1]),
    ]
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", new, idempotency_key="k")
    await sessions.fork(tenant, "ada", "s", 4, new_session_id="f")
    for session_id in ("s", "f"):
        read = (await sessions.turns(tenant, session_id, after=0, limit=10)).turns
        assert [(t.role, t.content, t.tool_calls, t.name, t.answer) for t in read] == [
            (n.role, n.content, n.tool_calls, n.name, n.answer) for n in new
        ]
        assert read[1].token_count > 0
    assert await sessions.append(tenant, "s", new, idempotency_key="k") == 4
    other = [*new[:2], NewTurn(Role.TOOL, "It is.", name="c-2"), new[3]]
    with pytest.raises(AlreadyExistsError):
        await sessions.append(tenant, "s", other, idempotency_key="k")


# --- create and get ---


async def test_a_new_session_is_empty_and_is_described_as_it_was_created(
    sessions: Sessions, tenant: str
) -> None:
    created = await sessions.create(tenant, "ada", session_id="s", title="First ☃ light")
    assert await sessions.get(tenant, "s") == created
    assert (created.id, created.subject, created.title) == ("s", "ada", "First ☃ light")
    assert (created.head, created.turn_count, created.token_count) == (0, 0, 0)
    assert created.expire_time is None
    assert abs(created.create_time - datetime.now(UTC)) < timedelta(minutes=1)
    assert await contents_of(sessions, tenant, "s") == []


async def test_ids_are_made_up_where_none_is_given(sessions: Sessions, tenant: str) -> None:
    first = await sessions.create(tenant, "ada")
    second = await sessions.create(tenant, "ada")
    assert first.id
    assert first.id != second.id
    assert (await sessions.get(tenant, first.id)).id == first.id


async def test_an_id_is_taken_once_for_each_tenant(sessions: Sessions, tenant: str) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    with pytest.raises(AlreadyExistsError):
        await sessions.create(tenant, "ada", session_id="s")
    other = await sessions.create(f"{tenant}-other", "ada", session_id="s")
    assert other.head == 0


async def test_of_many_who_create_one_id_at_once_one_succeeds(
    sessions: Sessions, tenant: str
) -> None:
    tried = await asyncio.gather(
        *(sessions.create(tenant, f"subject-{n}", session_id="s") for n in range(30)),
        return_exceptions=True,
    )
    failures = [outcome for outcome in tried if isinstance(outcome, BaseException)]
    assert len(failures) == 29
    assert all(isinstance(failure, AlreadyExistsError) for failure in failures)


@pytest.mark.parametrize("session_id", ["", "mine"])
async def test_creating_again_with_the_same_key_gives_the_first_answer(
    sessions: Sessions, tenant: str, session_id: str
) -> None:
    async def create() -> object:
        return await sessions.create(
            tenant, "ada", session_id=session_id, title="t", ttl_s=600, idempotency_key="k"
        )

    first = await create()
    await sessions.append(tenant, first.id, say("used meanwhile"))
    assert await create() == first


async def test_many_retries_at_once_create_one_session(sessions: Sessions, tenant: str) -> None:
    created = await asyncio.gather(
        *(sessions.create(tenant, "ada", idempotency_key="k") for _ in range(20))
    )
    assert len({session.id for session in created}) == 1


async def test_a_late_retry_does_not_bring_a_deleted_session_back(
    sessions: Sessions, tenant: str
) -> None:
    first = await sessions.create(tenant, "ada", idempotency_key="k")
    await sessions.delete(tenant, first.id)
    assert await sessions.create(tenant, "ada", idempotency_key="k") == first
    assert await is_gone(sessions, tenant, first.id)


@pytest.mark.parametrize("change", [{"title": "b"}, {"session_id": "b"}, {"ttl_s": 5.0}])
async def test_a_key_of_another_create_is_refused_and_nothing_is_created(
    sessions: Sessions, tenant: str, change: dict[str, object]
) -> None:
    first = {"session_id": "a", "title": "a"}
    await sessions.create(tenant, "ada", **first, idempotency_key="k")
    with pytest.raises(AlreadyExistsError, match="idempotency_key"):
        await sessions.create(tenant, "ada", **{**first, **change}, idempotency_key="k")
    assert await is_gone(sessions, tenant, "b")


async def test_a_key_is_apart_for_each_subject(sessions: Sessions, tenant: str) -> None:
    first = await sessions.create(tenant, "ada", idempotency_key="k")
    second = await sessions.create(tenant, "bob", idempotency_key="k")
    assert first.id != second.id


# --- append ---


async def test_turns_come_back_as_they_were_appended(sessions: Sessions, tenant: str) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    turns = [
        NewTurn(Role.SYSTEM, "Be brief."),
        NewTurn(Role.USER, "Wie spät?\r\n\t☃ \x00 'quoted' {braces}", metadata={"lang": "de"}),
        NewTurn(
            Role.ASSISTANT,
            "Kurz nach neun.",
            metadata={"ok": True, "n": 1.5, "none": None, "deep": {"list": [1.0, "ü", {}]}},
            source_ids=("doc#1", "ü☃"),
        ),
        NewTurn(Role.TOOL, "{}"),
    ]
    assert await sessions.append(tenant, "s", turns) == 4
    read = await sessions.turns(tenant, "s", after=0, limit=10)
    assert read.head == 4
    for number, (turn, written) in enumerate(zip(read.turns, turns, strict=True), start=1):
        assert turn.number == number
        assert turn.role is written.role
        assert turn.content == written.content
        assert turn.metadata == written.metadata
        assert turn.source_ids == written.source_ids
        assert turn.token_count == len(written.content.split())
        assert abs(turn.create_time - datetime.now(UTC)) < timedelta(minutes=1)
    session = await sessions.get(tenant, "s")
    assert (session.head, session.turn_count) == (4, 4)
    assert session.token_count == sum(turn.token_count for turn in read.turns)


async def test_numbers_go_on_from_one_append_to_the_next(sessions: Sessions, tenant: str) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    assert await sessions.append(tenant, "s", say("a", "b")) == 2
    assert await sessions.append(tenant, "s", say("c"), expected_head=2) == 3
    assert await contents_of(sessions, tenant, "s") == ["a", "b", "c"]


@pytest.mark.parametrize("expected_head", [0, 1, 3, 2**63, 2**64 - 1])
async def test_an_append_to_another_head_writes_nothing_and_names_the_head(
    sessions: Sessions, tenant: str, expected_head: int
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", say("a", "b"))
    with pytest.raises(ConflictError) as raised:
        await sessions.append(tenant, "s", say("late"), expected_head=expected_head)
    assert raised.value.metadata["head"] == "2"
    assert await contents_of(sessions, tenant, "s") == ["a", "b"]


async def test_of_a_hundred_appends_to_one_head_one_wins_and_the_others_learn_the_new_head(
    sessions: Sessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", say("first"))
    tried = await asyncio.gather(
        *(sessions.append(tenant, "s", say(str(n)), expected_head=1) for n in range(100)),
        return_exceptions=True,
    )
    assert tried.count(2) == 1
    losers = [outcome for outcome in tried if isinstance(outcome, ConflictError)]
    assert len(losers) == 99
    assert {loser.metadata["head"] for loser in losers} == {"2"}
    assert await contents_of(sessions, tenant, "s") == ["first", str(tried.index(2))]


async def test_appends_at_whatever_the_head_is_all_take_place(
    sessions: Sessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    heads = await asyncio.gather(
        *(sessions.append(tenant, "s", say(f"{n} a", f"{n} b")) for n in range(50))
    )
    assert sorted(heads) == list(range(2, 101, 2))
    stored = await contents_of(sessions, tenant, "s")
    assert all(stored[head - 2 : head] == [f"{n} a", f"{n} b"] for n, head in enumerate(heads))


async def test_appending_again_with_the_same_key_gives_the_first_answer(
    sessions: Sessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")

    async def append() -> int:
        return await sessions.append(tenant, "s", say("once"), expected_head=0, idempotency_key="k")

    assert await append() == 1
    await sessions.append(tenant, "s", say("then"))
    assert await append() == 1
    assert await contents_of(sessions, tenant, "s") == ["once", "then"]


async def test_many_retries_at_once_append_once(sessions: Sessions, tenant: str) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    heads = await asyncio.gather(
        *(sessions.append(tenant, "s", say("once"), idempotency_key="k") for _ in range(50))
    )
    assert set(heads) == {1}
    assert await contents_of(sessions, tenant, "s") == ["once"]


@pytest.mark.parametrize(
    ("turns", "expected_head"),
    [
        (say("other"), 0),
        (say("same", "more"), 0),
        ([NewTurn(Role.ASSISTANT, "same")], 0),
        ([NewTurn(Role.USER, "same", metadata={"a": 1})], 0),
        ([NewTurn(Role.USER, "same", source_ids=("a",))], 0),
        (say("same"), None),
    ],
)
async def test_a_key_of_another_append_is_refused_and_nothing_is_written(
    sessions: Sessions, tenant: str, turns: list[NewTurn], expected_head: int | None
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", say("same"), expected_head=0, idempotency_key="k")
    with pytest.raises(AlreadyExistsError, match="idempotency_key"):
        await sessions.append(tenant, "s", turns, expected_head=expected_head, idempotency_key="k")
    assert await contents_of(sessions, tenant, "s") == ["same"]


async def test_a_key_is_apart_for_each_session(sessions: Sessions, tenant: str) -> None:
    for session_id in ("a", "b"):
        await sessions.create(tenant, "ada", session_id=session_id)
        await sessions.append(tenant, session_id, say(session_id), idempotency_key="k")
        assert await contents_of(sessions, tenant, session_id) == [session_id]


# --- read ---


async def test_turns_are_paged_upwards(sessions: Sessions, tenant: str) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", say(*map(str, range(1, 51))))
    read, after = [], 0
    while page := (await sessions.turns(tenant, "s", after=after, limit=7)).turns:
        assert len(page) <= 7
        read += [turn.content for turn in page]
        after = page[-1].number
    assert read == list(map(str, range(1, 51)))


@pytest.mark.parametrize("after", [3, 4, 2**53 + 1, 2**64 - 1])
async def test_there_is_nothing_after_the_head(sessions: Sessions, tenant: str, after: int) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", say("a", "b", "c"))
    page = await sessions.turns(tenant, "s", after=after, limit=5)
    assert (page.turns, page.head) == ((), 3)


async def test_the_last_turns_are_read_in_order(sessions: Sessions, tenant: str) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    assert (await sessions.recent(tenant, "s", limit=3)).turns == ()
    await sessions.append(tenant, "s", say(*"abcdefghijklmnopqrstuvwxyz"))

    async def recent(limit: int, before: int | None = None) -> str:
        page = await sessions.recent(tenant, "s", limit=limit, before=before)
        assert page.head == 26
        return "".join(turn.content for turn in page.turns)

    assert await recent(3) == "xyz"
    assert await recent(100) == "abcdefghijklmnopqrstuvwxyz"
    assert await recent(3, before=5) == "bcd"
    assert await recent(3, before=2) == "a"
    assert await recent(3, before=1) == ""
    assert await recent(2, before=100) == "yz"


@pytest.mark.parametrize(("tokens", "turns"), [(1, 8), (20, 13), (10**9, 20)])
async def test_the_end_of_a_session_is_read_by_its_tokens_with_what_the_session_is(
    sessions: Sessions, tenant: str, tokens: int, turns: int
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    assert (await sessions.latest(tenant, "s", tokens=tokens)).turns == ()
    await sessions.append(tenant, "s", say(*["one two"] * 30))
    latest = await sessions.latest(tenant, "s", tokens=tokens, limit=20)
    assert [turn.number for turn in latest.turns] == list(range(31 - turns, 31))
    assert (latest.head, latest.token_count, latest.subject) == (30, 60, "ada")


async def test_turns_for_a_session_that_was_deleted_are_not_those_of_the_next_one_of_its_id(
    sessions: Sessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    birth = (await sessions.latest(tenant, "s", tokens=1)).birth
    await sessions.append(tenant, "s", say("a"), expected_birth=birth)
    await sessions.delete(tenant, "s")
    await sessions.create(tenant, "bob", session_id="s")
    for head in (None, 0):
        with pytest.raises(NotFoundError):
            await sessions.append(tenant, "s", say("b"), expected_head=head, expected_birth=birth)
    assert (await sessions.get(tenant, "s")).head == 0


async def test_large_turns_come_in_shorter_pages_but_all_come(
    sessions: Sessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    large = MAX_READ_BYTES // 3
    for number in range(7):
        await sessions.append(tenant, "s", say(str(number) * large))
    up, after = "", 0
    while page := (await sessions.turns(tenant, "s", after=after, limit=100)).turns:
        assert sum(len(turn.content) for turn in page) <= MAX_READ_BYTES
        up += "".join(turn.content[0] for turn in page)
        after = page[-1].number
    down, before = "", 8
    while page := (await sessions.recent(tenant, "s", limit=100, before=before)).turns:
        assert sum(len(turn.content) for turn in page) <= MAX_READ_BYTES
        down = "".join(turn.content[0] for turn in page) + down
        before = page[0].number
    assert up == down == "0123456"


async def test_a_turn_that_is_larger_than_a_page_is_read_alone(
    sessions: Sessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", say("x" * (MAX_READ_BYTES + 1), "small"))
    page = await sessions.turns(tenant, "s", after=0, limit=10)
    assert [turn.number for turn in page.turns] == [1]


# --- delete, expiry, tenants ---


async def test_a_deleted_session_is_gone_with_its_turns(sessions: Sessions, tenant: str) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", say("a", "b"), idempotency_key="k")
    assert await sessions.delete(tenant, "s") == 2
    await assert_unknown(sessions, tenant, "s")
    # Its successor knows nothing of it, not even of the key.
    assert (await sessions.create(tenant, "ada", session_id="s")).head == 0
    assert await sessions.append(tenant, "s", say("a"), idempotency_key="k") == 1
    assert await contents_of(sessions, tenant, "s") == ["a"]


async def assert_unknown(sessions: Sessions, tenant: str, session_id: str) -> None:
    for call in (
        sessions.get(tenant, session_id),
        sessions.delete(tenant, session_id),
        sessions.append(tenant, session_id, say("x")),
        sessions.append(tenant, session_id, say("x"), expected_head=0, idempotency_key="k"),
        sessions.turns(tenant, session_id, after=0, limit=1),
        sessions.recent(tenant, session_id, limit=1),
        sessions.latest(tenant, session_id, tokens=1),
    ):
        with pytest.raises(NotFoundError) as raised:
            await call
        assert raised.value.metadata["resource_name"] == session_id


async def test_every_call_on_an_unknown_session_says_so(sessions: Sessions, tenant: str) -> None:
    await assert_unknown(sessions, tenant, "nowhere")
    await assert_unknown(sessions, tenant, "nowhere")


async def test_a_tenant_sees_nothing_of_another(sessions: Sessions, tenant: str) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", say("secret"))
    for other in (f"{tenant}-other", f"{tenant}:s", "", f"{{{tenant}}}", tenant.upper()):
        await assert_unknown(sessions, other, "s")
    assert await contents_of(sessions, tenant, "s") == ["secret"]


async def test_no_tenant_and_id_run_together(sessions: Sessions, tenant: str) -> None:
    pairs = [(f"{tenant}a", "b:c"), (f"{tenant}a:b", "c"), (f"{tenant}a%3Ab", "c")]
    for number, (owner, session_id) in enumerate(pairs):
        await sessions.create(owner, "ada", session_id=session_id, title=str(number))
    titles = [(await sessions.get(*pair)).title for pair in pairs]
    assert titles == ["0", "1", "2"]


@pytest.mark.parametrize("session_id", ODD_IDS)
async def test_an_id_may_look_like_anything(
    sessions: Sessions, tenant: str, session_id: str
) -> None:
    await sessions.create(f"{tenant}{session_id}", session_id, session_id=session_id)
    await sessions.append(f"{tenant}{session_id}", session_id, say("a"), idempotency_key="k")
    assert await contents_of(sessions, f"{tenant}{session_id}", session_id) == ["a"]
    assert await sessions.delete(f"{tenant}{session_id}", session_id) == 1


async def test_a_session_ends_when_its_time_to_live_is_over(
    sessions: Sessions, tenant: str
) -> None:
    created = await sessions.create(tenant, "ada", session_id="s", ttl_s=0.05)
    assert created.expire_time == created.create_time + timedelta(seconds=0.05)
    await until(lambda: is_gone(sessions, tenant, "s"), "the session has expired")
    await assert_unknown(sessions, tenant, "s")


async def test_a_session_without_a_time_to_live_keeps_none_when_used(
    sessions: Sessions, tenant: str
) -> None:
    await sessions.create(tenant, "ada", session_id="s")
    await sessions.append(tenant, "s", say("a"))
    await sessions.recent(tenant, "s", limit=1)
    assert (await sessions.get(tenant, "s")).expire_time is None


async def test_a_store_that_can_be_reached_passes_its_check(sessions: Sessions) -> None:
    await sessions.check()
