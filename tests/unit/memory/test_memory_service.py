"""MemoryService: what it refuses, and what it passes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from groundwire.v1 import generation_pb2 as generation
from groundwire.v1 import memory_service_pb2 as pb
from groundwire_index import Index
from groundwire_index.errors import (
    ConflictError,
    InvalidArgumentError,
    LimitExceededError,
    NotFoundError,
)
from groundwire_server.engines.engine import Engine, Message, Role
from groundwire_server.engines.models import Models
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.identity import Identity, current_identity
from groundwire_server.interceptors.method import Context
from groundwire_server.memory.memories.receipts import Receipts
from groundwire_server.memory.memories.store import Memories
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import Answer, NewTurn
from groundwire_server.services.memory import MemoryService

from tests.unit.retrieve.letters import LettersEmbedder

CONTEXT = cast(Context, None)
MIB = 2**20


class WordEngine:
    """An engine that can do no more than count words, and so many for each message."""

    name = "words"
    adapters = ()

    def __init__(self, model: str, per_message: int) -> None:
        self.model = model
        self._per_message = per_message

    async def count_tokens(self, content: str | Sequence[Message], template: object = None) -> int:
        if isinstance(content, str):
            return len(content.split())
        return sum(self._per_message + len(message.content.split()) for message in content)


@pytest.fixture
def memories(tmp_path: Path) -> Iterator[Memories]:
    with Index.open(tmp_path / "index", background=False) as index:
        yield Memories(lambda: index, LettersEmbedder(), Receipts(tmp_path / "memories"))


@pytest.fixture
def service(sessions: RedisSessions, memories: Memories) -> MemoryService:
    engines = [cast(Engine, WordEngine("small", 1)), cast(Engine, WordEngine("large", 10))]
    models = Models([*map(ServedModel, engines)], default="small")
    return MemoryService(sessions, models, memories)


@pytest.fixture(autouse=True)
def caller() -> Iterator[Identity]:
    identity = Identity(f"tenant-{uuid4()}", "ada")
    token = current_identity.set(identity)
    yield identity
    current_identity.reset(token)


def said(content: str = "hello", **fields: Any) -> pb.NewMessage:
    return pb.NewMessage(**{"role": generation.ROLE_USER, "content": content, **fields})


async def new_session(service: MemoryService, **fields: Any) -> str:
    created = await service.CreateSession(pb.CreateSessionRequest(**fields), CONTEXT)
    return created.session.id


async def append(service: MemoryService, session_id: str, *messages: pb.NewMessage) -> int:
    request = pb.AppendMessagesRequest(session_id=session_id, messages=messages)
    return (await service.AppendMessages(request, CONTEXT)).head


async def test_a_conversation_is_kept_and_read_back(
    service: MemoryService, caller: Identity
) -> None:
    request = pb.CreateSessionRequest(title="First light", ttl=Duration(seconds=600))
    session = (await service.CreateSession(request, CONTEXT)).session
    assert (session.subject, session.title, session.head) == (caller.subject, "First light", 0)
    life = session.expire_time.ToNanoseconds() - session.create_time.ToNanoseconds()
    assert life == 600 * 10**9

    answer = said("Ten to nine.", role=generation.ROLE_ASSISTANT, source_ids=["clock#1"])
    answer.metadata.update({"confidence": 0.5, "deep": {"list": [1, "ü", None]}})
    assert await append(service, session.id, said("What time is it?"), answer) == 2

    page = await service.ListMessages(pb.ListMessagesRequest(session_id=session.id), CONTEXT)
    assert (page.head, page.next_after) == (2, 0)
    assert [turn.number for turn in page.turns] == [1, 2]
    assert [turn.content for turn in page.turns] == ["What time is it?", "Ten to nine."]
    assert page.turns[1].role == generation.ROLE_ASSISTANT
    assert page.turns[1].metadata == answer.metadata
    assert page.turns[1].source_ids == ["clock#1"]
    assert page.turns[1].token_count == 3

    described = await service.GetSession(pb.GetSessionRequest(session_id=session.id), CONTEXT)
    assert (described.session.head, described.session.token_count) == (2, 7)
    deleted = await service.DeleteSession(pb.DeleteSessionRequest(session_id=session.id), CONTEXT)
    assert deleted.turns == 2
    with pytest.raises(NotFoundError):
        await service.GetSession(pb.GetSessionRequest(session_id=session.id), CONTEXT)


async def test_pages_follow_one_another(service: MemoryService) -> None:
    session_id = await new_session(service)
    await append(service, session_id, *(said(str(n)) for n in range(25)))
    read, after = [], 0
    while True:
        request = pb.ListMessagesRequest(session_id=session_id, after=after, page_size=10)
        page = await service.ListMessages(request, CONTEXT)
        read += [turn.content for turn in page.turns]
        after = page.next_after
        if not after:
            break
    assert read == [str(n) for n in range(25)]
    beyond = pb.ListMessagesRequest(session_id=session_id, after=2**64 - 1)
    assert (await service.ListMessages(beyond, CONTEXT)).next_after == 0


async def test_a_head_that_was_never_there_is_a_conflict_that_names_the_head(
    service: MemoryService,
) -> None:
    session_id = await new_session(service)
    await append(service, session_id, said())
    request = pb.AppendMessagesRequest(session_id=session_id, messages=[said()], expected_head=7)
    with pytest.raises(ConflictError) as raised:
        await service.AppendMessages(request, CONTEXT)
    assert raised.value.metadata["head"] == "1"
    empty = pb.AppendMessagesRequest(session_id=session_id, messages=[said()], expected_head=0)
    with pytest.raises(ConflictError):
        await service.AppendMessages(empty, CONTEXT)


async def test_a_context_is_counted_by_the_model_that_will_read_it(service: MemoryService) -> None:
    session_id = await new_session(service)
    for number in range(3):
        await append(
            service, session_id, said(f"question {number}"), said("yes", role="ROLE_ASSISTANT")
        )

    async def build(model: str) -> pb.BuildContextResponse:
        request = pb.BuildContextRequest(
            session_id=session_id,
            query="and now",
            system_prompt="be brief",
            budget_tokens=50,
            model=model,
        )
        return await service.BuildContext(request, CONTEXT)

    roomy = await build("")
    assert len(roomy.messages) == 8
    assert roomy.report.tokens == 21
    kinds = [(item.kind, item.tokens) for item in roomy.report.included]
    assert kinds == [
        (pb.CONTEXT_ITEM_KIND_SYSTEM_PROMPT, 3),
        (pb.CONTEXT_ITEM_KIND_TURN, 15),
        (pb.CONTEXT_ITEM_KIND_QUERY, 3),
    ]
    tight = await build("large")
    assert [message.content for message in tight.messages] == [
        "be brief",
        "question 2",
        "yes",
        "and now",
    ]
    assert [message.role for message in tight.messages] == [
        generation.ROLE_SYSTEM,
        generation.ROLE_USER,
        generation.ROLE_ASSISTANT,
        generation.ROLE_USER,
    ]
    (dropped,) = tight.report.dropped
    assert (dropped.first_turn, dropped.last_turn, dropped.why) == (1, 4, pb.DROP_REASON_BUDGET)
    assert (tight.report.tokens, tight.report.budget_tokens, tight.report.head) == (47, 50, 6)
    with pytest.raises(NotFoundError, match="small"):
        await build("unknown")


async def test_a_budget_below_the_prompt_and_the_query_is_out_of_range(
    service: MemoryService,
) -> None:
    session_id = await new_session(service)
    request = pb.BuildContextRequest(session_id=session_id, query="a b c", budget_tokens=3)
    with pytest.raises(LimitExceededError) as raised:
        await service.BuildContext(request, CONTEXT)
    assert raised.value.metadata == {"needed": "4", "budget": "3"}


async def test_sessions_are_listed_page_by_page(service: MemoryService, caller: Identity) -> None:
    made = [await new_session(service, title=f"title {n}") for n in range(5)]

    async def pages(subject: str = "") -> list[list[str]]:
        found, cursor = [], ""
        while True:
            request = pb.ListSessionsRequest(subject=subject, page_size=2, cursor=cursor)
            page = await service.ListSessions(request, CONTEXT)
            found.append([session.id for session in page.sessions])
            assert (page.removed_sessions, page.HasField("removed_time")) == (0, False)
            cursor = page.next_cursor
            if not cursor:
                return found

    found = await pages()
    assert [len(page) for page in found] == [2, 2, 1]
    assert sorted(one for page in found for one in page) == sorted(made)
    assert await pages(caller.subject) == found
    assert await pages("someone.else") == [[]]
    token = current_identity.set(Identity("another", caller.subject))
    assert await pages() == [[]]
    current_identity.reset(token)


async def test_a_session_is_forked_and_its_branches_are_told(
    service: MemoryService, caller: Identity
) -> None:
    session_id = await new_session(service, ttl=Duration(seconds=600))
    await append(service, session_id, said("one"), said("two"), said("three"))
    request = pb.ForkSessionRequest(
        session_id=session_id,
        at_turn=2,
        new_session_id="branch",
        title="Else",
        idempotency_key="k",
        ttl=Duration(seconds=60),
    )
    fork = (await service.ForkSession(request, CONTEXT)).session
    assert (fork.id, fork.subject, fork.title) == ("branch", caller.subject, "Else")
    assert (fork.head, fork.turn_count, fork.token_count) == (2, 2, 2)
    assert (fork.parent.session_id, fork.parent.turn) == (session_id, 2)
    assert fork.expire_time.ToNanoseconds() - fork.create_time.ToNanoseconds() == 60 * 10**9
    assert (await service.ForkSession(request, CONTEXT)).session == fork
    await append(service, "branch", said("four"))
    page = await service.ListMessages(pb.ListMessagesRequest(session_id="branch"), CONTEXT)
    assert [turn.content for turn in page.turns] == ["one", "two", "four"]
    context = await service.BuildContext(
        pb.BuildContextRequest(session_id="branch", budget_tokens=100), CONTEXT
    )
    assert [message.content for message in context.messages] == ["one", "two", "four"]
    forks = await service.ListForks(pb.ListForksRequest(session_id=session_id), CONTEXT)
    assert [session.id for session in forks.sessions] == ["branch"]
    thread = await service.GetThread(pb.GetThreadRequest(session_id="branch"), CONTEXT)
    assert [session.id for session in thread.sessions] == [session_id, "branch"]
    assert not thread.sessions[0].HasField("parent")


async def test_a_fork_past_the_head_is_out_of_range(service: MemoryService) -> None:
    session_id = await new_session(service)
    await append(service, session_id, said())
    with pytest.raises(LimitExceededError) as raised:
        await service.ForkSession(pb.ForkSessionRequest(session_id=session_id, at_turn=2), CONTEXT)
    assert raised.value.metadata["head"] == "1"


async def test_stats_are_told(service: MemoryService, sessions: RedisSessions) -> None:
    session_id = await new_session(service)
    asked = pb.GetSessionStatsRequest(session_id=session_id)
    empty = await service.GetSessionStats(asked, CONTEXT)
    assert empty == pb.GetSessionStatsResponse()
    answer = NewTurn(Role.ASSISTANT, "two words", answer=Answer("small", 1.5, 0.25))
    await append(service, session_id, said("one"))
    await sessions.append(current_identity.get().tenant, session_id, [answer])
    stats = await service.GetSessionStats(asked, CONTEXT)
    assert (stats.turns, stats.tokens, dict(stats.answers_by_model)) == (2, 3, {"small": 1})
    assert stats.average_latency.ToNanoseconds() == 1_500_000_000
    assert stats.average_confidence == 0.25
    assert stats.first_time.ToNanoseconds() <= stats.last_time.ToNanoseconds()
    page = await service.ListMessages(pb.ListMessagesRequest(session_id=session_id), CONTEXT)
    assert not page.turns[0].HasField("answer")
    told = page.turns[1].answer
    assert (told.model, told.latency.ToNanoseconds(), told.confidence) == (
        "small",
        1_500_000_000,
        0.25,
    )
    assert not page.turns[1].metadata.fields


async def test_a_tenant_finds_nothing_of_another_and_subjects_share_a_tenant(
    service: MemoryService, caller: Identity
) -> None:
    session_id = await new_session(service, session_id="s")
    await append(service, session_id, said("secret"))
    token = current_identity.set(Identity("another", caller.subject))
    for call in CALLS.values():
        with pytest.raises(NotFoundError):
            await call(service, session_id)
    current_identity.reset(token)
    assert await append(service, session_id, said()) == 2


Call = Callable[[MemoryService, str], Any]
CALLS: dict[str, Call] = {
    "GetSession": lambda service, session_id: service.GetSession(
        pb.GetSessionRequest(session_id=session_id), CONTEXT
    ),
    "DeleteSession": lambda service, session_id: service.DeleteSession(
        pb.DeleteSessionRequest(session_id=session_id), CONTEXT
    ),
    "AppendMessages": lambda service, session_id: service.AppendMessages(
        pb.AppendMessagesRequest(session_id=session_id, messages=[said()]), CONTEXT
    ),
    "ListMessages": lambda service, session_id: service.ListMessages(
        pb.ListMessagesRequest(session_id=session_id), CONTEXT
    ),
    "ForkSession": lambda service, session_id: service.ForkSession(
        pb.ForkSessionRequest(session_id=session_id, at_turn=1), CONTEXT
    ),
    "ListForks": lambda service, session_id: service.ListForks(
        pb.ListForksRequest(session_id=session_id), CONTEXT
    ),
    "GetThread": lambda service, session_id: service.GetThread(
        pb.GetThreadRequest(session_id=session_id), CONTEXT
    ),
    "GetSessionStats": lambda service, session_id: service.GetSessionStats(
        pb.GetSessionStatsRequest(session_id=session_id), CONTEXT
    ),
    "BuildContext": lambda service, session_id: service.BuildContext(
        pb.BuildContextRequest(session_id=session_id, budget_tokens=100, query="x"), CONTEXT
    ),
}


@pytest.mark.parametrize("session_id", ["", "a b", "{a}", "a/b", "ü", "a\n", "x" * 129, "a\0"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_session_id_with_other_characters_is_refused(
    service: MemoryService, call: str, session_id: str
) -> None:
    await refuses(CALLS[call](service, session_id), "session_id")


async def refuses(call: Any, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        await call
    assert [violation.field for violation in raised.value.violations] == [field]


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("session_id", {"session_id": "a b"}),
        ("session_id", {"session_id": "x" * 129}),
        ("title", {"title": "x" * 257}),
        ("title", {"title": "a\nb"}),
        ("title", {"title": "a\x7fb"}),
        ("ttl", {"ttl": Duration()}),
        ("ttl", {"ttl": Duration(nanos=999_999_999)}),
        ("ttl", {"ttl": Duration(seconds=-5)}),
        ("ttl", {"ttl": Duration(seconds=2**62)}),
        ("idempotency_key", {"idempotency_key": "ü" * 129}),
    ],
)
async def test_a_session_that_cannot_be_is_not_created(
    service: MemoryService, field: str, fields: dict[str, Any]
) -> None:
    request = pb.CreateSessionRequest(**fields)
    await refuses(service.CreateSession(request, CONTEXT), field)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("at_turn", {"at_turn": 0}),
        ("new_session_id", {"new_session_id": "a b"}),
        ("title", {"title": "a\nb"}),
        ("ttl", {"ttl": Duration(seconds=-5)}),
        ("idempotency_key", {"idempotency_key": "x" * 257}),
    ],
)
async def test_a_fork_that_cannot_be_is_refused_and_nothing_is_made(
    service: MemoryService, field: str, fields: dict[str, Any]
) -> None:
    session_id = await new_session(service)
    await append(service, session_id, said())
    request = pb.ForkSessionRequest(**{"session_id": session_id, "at_turn": 1, **fields})
    await refuses(service.ForkSession(request, CONTEXT), field)
    forks = await service.ListForks(pb.ListForksRequest(session_id=session_id), CONTEXT)
    assert not forks.sessions


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("subject", {"subject": "a b"}),
        ("subject", {"subject": "a\0"}),
        ("subject", {"subject": "{a}"}),
        ("subject", {"subject": "x" * 129}),
        ("page_size", {"page_size": 1001}),
        ("cursor", {"cursor": "nonsense"}),
        ("cursor", {"cursor": "0" * 32 + ".5"}),
    ],
)
async def test_a_list_that_cannot_be_is_refused(
    service: MemoryService, field: str, fields: dict[str, Any]
) -> None:
    await refuses(service.ListSessions(pb.ListSessionsRequest(**fields), CONTEXT), field)


async def test_the_longest_that_is_allowed_is_allowed(service: MemoryService) -> None:
    session_id = await new_session(
        service,
        session_id="A-z0.9_:" * 16,
        title="ü" * 256,
        ttl=Duration(seconds=1),
        idempotency_key="ü" * 128,
    )
    session_id = await new_session(service, ttl=Duration(seconds=100 * 365 * 86_400))
    assert await append(service, session_id, said("x" * MIB), *[said()] * 99) == 100


def with_metadata(value: Any) -> pb.NewMessage:
    message = said()
    message.metadata.update({"key": value})
    return message


@pytest.mark.parametrize(
    ("field", "messages"),
    [
        ("messages", []),
        ("messages", [said()] * 101),
        ("messages[1].role", [said(), said(role=generation.ROLE_UNSPECIFIED)]),
        ("messages[0].role", [said(role=99)]),
        ("messages[0].content", [said("")]),
        ("messages[2].content", [said(), said(), said(" \t\n\u2003")]),
        ("messages[0].content", [said("x" * (MIB + 1))]),
        ("messages[0].content", [said("ü" * (MIB // 2 + 1))]),
        ("messages[0].metadata", [with_metadata("x" * 16_384)]),
        ("messages[0].metadata.key", [with_metadata(float("nan"))]),
        ("messages[0].metadata.key[1]", [with_metadata([1, float("inf")])]),
        ("messages[0].source_ids", [said(source_ids=["a"] * 1001)]),
        ("messages[0].source_ids[1]", [said(source_ids=["a", ""])]),
        ("messages[0].source_ids[0]", [said(source_ids=["a\0"])]),
    ],
)
async def test_messages_that_cannot_be_are_refused_and_nothing_is_written(
    service: MemoryService, field: str, messages: list[pb.NewMessage]
) -> None:
    session_id = await new_session(service)
    request = pb.AppendMessagesRequest(session_id=session_id, messages=messages)
    await refuses(service.AppendMessages(request, CONTEXT), field)
    described = await service.GetSession(pb.GetSessionRequest(session_id=session_id), CONTEXT)
    assert described.session.head == 0


async def test_a_key_that_is_too_long_is_refused(service: MemoryService) -> None:
    request = pb.AppendMessagesRequest(session_id="s", messages=[said()], idempotency_key="x" * 257)
    await refuses(service.AppendMessages(request, CONTEXT), "idempotency_key")


async def test_a_page_of_more_than_a_thousand_is_refused(service: MemoryService) -> None:
    request = pb.ListMessagesRequest(session_id="s", page_size=1001)
    await refuses(service.ListMessages(request, CONTEXT), "page_size")


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("budget_tokens", {"budget_tokens": 0}),
        ("query", {"query": "  "}),
        ("query", {"query": "x" * (MIB + 1)}),
        ("system_prompt", {"system_prompt": "\n"}),
        ("system_prompt", {"system_prompt": "x" * (MIB + 1)}),
    ],
)
async def test_a_context_that_cannot_be_is_refused(
    service: MemoryService, field: str, fields: dict[str, Any]
) -> None:
    request = pb.BuildContextRequest(**{"session_id": "s", "budget_tokens": 10, **fields})
    await refuses(service.BuildContext(request, CONTEXT), field)
