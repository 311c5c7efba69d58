"""Whatever is wrong with a call on sessions and memories is told, and nothing at all is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from groundwire.v1 import generate_service_pb2 as generate
from groundwire.v1 import generation_pb2 as generation
from groundwire.v1 import memory_pb2
from groundwire.v1 import memory_service_pb2 as pb
from redis.asyncio import Redis

from tests.e2e.isolation.calling import Caller, Outcome
from tests.whole_server import WholeServer, whole_server

INVALID, OUT_OF_RANGE, ABORTED, NOT_FOUND = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.NOT_FOUND,
)
FACT = memory_pb2.MEMORY_KIND_FACT
PAST = Timestamp(seconds=1_000_000_000)
LONG = "x" * (5 * 2**20)
# A session with two turns and a memory are there.
TALK = "talk"
HOSTILE = (
    "{x}",
    "gw:*",
    "gw:{acme:talk}:session",
    "talk}:session",
    "{acme:talk",
    "talk*",
    "[a-z]",
    "t?lk",
    "../talk",
    "talk\0",
    "talk\r\nDEL gw:*",
    "talk\x1b[2J",
    "%74alk",
    "tälk",
    "x" * 129,
)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WholeServer]:
    async with whole_server(tmp_path_factory.mktemp("bad-input") / "data") as running:
        yield running


@pytest.fixture(scope="module")
async def redis(server: WholeServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(f"unix://{server.redis_socket}") as client:
        yield client


@pytest.fixture(scope="module")
async def channel(server: WholeServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server.address) as made:
        yield made


def caller_on(channel: grpc.aio.Channel) -> Caller:
    return Caller(channel, f"tenant-{uuid4()}", "ada")


@pytest.fixture(scope="module")
async def caller(channel: grpc.aio.Channel) -> Caller:
    made = caller_on(channel)
    for request in (
        pb.CreateSessionRequest(session_id=TALK),
        append(said(), said()),
        remember(),
    ):
        assert (await call(made, request)).code is grpc.StatusCode.OK
    return made


async def call(caller: Caller, request: Message) -> Outcome:
    name = type(request).__name__.removesuffix("Request")
    generates = isinstance(request, generate.GenerateRequest | generate.CompleteRequest)
    return await caller.call(f"{'Generate' if generates else 'Memory'}Service/{name}", request)


def said(content: str = "Hello", role: int = generation.ROLE_USER) -> pb.NewMessage:
    return pb.NewMessage(role=role, content=content)  # type: ignore[arg-type]


def append(*messages: pb.NewMessage, **fields: object) -> pb.AppendMessagesRequest:
    return pb.AppendMessagesRequest(**{"session_id": TALK, "messages": messages, **fields})


def fork(at_turn: int, **fields: object) -> pb.ForkSessionRequest:
    return pb.ForkSessionRequest(**{"session_id": TALK, "at_turn": at_turn, **fields})


def remember(text: str = "Works at the harbour", **fields: object) -> pb.RememberRequest:
    return pb.RememberRequest(**{"text": text, "kind": FACT, **fields})


def build(**fields: object) -> pb.BuildContextRequest:
    return pb.BuildContextRequest(**{"session_id": TALK, "budget_tokens": 100, **fields})


def answer(**fields: object) -> generate.GenerateRequest:
    return generate.GenerateRequest(**{"prompt": "Where does she work?", **fields})


BAD: list[tuple[Message, grpc.StatusCode, str]] = [
    # --- turns ---
    (append(said(role=0)), INVALID, "messages[0].role"),
    (append(said(), said(role=17)), INVALID, "messages[1].role"),
    (append(said("")), INVALID, "messages[0].content"),
    (append(said(), said(" \n\t")), INVALID, "messages[1].content"),
    (append(said(LONG)), INVALID, "messages[0].content"),
    (append(), INVALID, "messages"),
    (append(said(), expected_head=3), ABORTED, "head"),
    (append(said(), expected_head=2**63), ABORTED, "head"),
    (append(said(), expected_head=2**64 - 1), ABORTED, "head"),
    # --- forks ---
    (fork(0), INVALID, "at_turn"),
    (fork(3), OUT_OF_RANGE, "at_turn"),
    (fork(2**64 - 1), OUT_OF_RANGE, "at_turn"),
    (fork(1, title=LONG), INVALID, "title"),
    # --- expiry ---
    (pb.CreateSessionRequest(ttl=Duration(seconds=-1)), INVALID, "ttl"),
    (pb.CreateSessionRequest(ttl=Duration()), INVALID, "ttl"),
    (fork(1, ttl=Duration(seconds=-1)), INVALID, "ttl"),
    (remember(expire_time=PAST), INVALID, "expire_time"),
    (remember(expire_time=Timestamp(seconds=-1)), INVALID, "expire_time"),
    # --- budgets ---
    (build(budget_tokens=0), INVALID, "budget_tokens"),
    (build(budget_tokens=3, system_prompt="Be brief and kind."), OUT_OF_RANGE, "budget_tokens"),
    (build(system_prompt=LONG), INVALID, "system_prompt"),
    (build(query=LONG), INVALID, "query"),
    # --- memories ---
    (remember(""), INVALID, "text"),
    (remember(LONG), INVALID, "text"),
    (remember(kind=17), INVALID, "kind"),
    # --- subjects with control characters ---
    *(
        (request, INVALID, field)
        for subject in ("a\0b", "a\nb", "a\x1b[2J", "\x7f")
        for request, field in (
            (pb.ListSessionsRequest(subject=subject), "subject"),
            (remember(subject=subject), "subject"),
            (pb.RecallRequest(subject=subject, query="harbour"), "subject"),
            (pb.ListMemoriesRequest(subject=subject), "subject"),
            (pb.ForgetRequest(subject=subject), "subject"),
            (pb.ForgetRequest(filter={"subject": subject}), "filter.subject"),
            (answer(subject=subject), "subject"),
        )
    ),
    # --- ids that look like keys ---
    *(
        (request, INVALID, field)
        for hostile in HOSTILE
        for request, field in (
            (pb.CreateSessionRequest(session_id=hostile), "session_id"),
            (pb.GetSessionRequest(session_id=hostile), "session_id"),
            (pb.DeleteSessionRequest(session_id=hostile), "session_id"),
            (append(said(), session_id=hostile), "session_id"),
            (pb.ListMessagesRequest(session_id=hostile), "session_id"),
            (build(session_id=hostile), "session_id"),
            (fork(1, session_id=hostile), "session_id"),
            (fork(1, new_session_id=hostile), "new_session_id"),
            (pb.ListForksRequest(session_id=hostile), "session_id"),
            (pb.GetThreadRequest(session_id=hostile), "session_id"),
            (pb.GetSessionStatsRequest(session_id=hostile), "session_id"),
            (remember(sources=[{"session_id": hostile, "turn": 1}]), "sources[0].session_id"),
            (pb.ForgetRequest(session_id=hostile), "session_id"),
            (answer(session_id=hostile), "session_id"),
            (
                generate.CompleteRequest(request=answer(session_id=hostile)),
                "request.session_id",
            ),
        )
    ),
]


def violations_of(outcome: Outcome) -> list[str]:
    """The fields that the details of a failure name."""
    key = b"grpc-status-details-bin"
    status = status_pb2.Status.FromString(outcome.trailers.partition(key)[2])
    bad = error_details_pb2.BadRequest()
    return [
        one.field for packed in status.details if packed.Unpack(bad) for one in bad.field_violations
    ]


async def stored(redis: Redis) -> dict[bytes, bytes | None]:
    """Everything that is kept of sessions; calls are counted whatever becomes of them."""
    keys = [key async for key in redis.scan_iter(count=1000)]
    return {key: await redis.dump(key) for key in keys if b":usage:" not in key}


async def remembered(caller: Caller) -> bytes:
    listed = await call(caller, pb.ListMemoriesRequest(include_superseded=True))
    return b"".join(one.SerializeToString(deterministic=True) for one in listed.responses)


def what_is_wrong(outcome: Outcome, code: grpc.StatusCode, field: str) -> str:
    if outcome.code is not code:
        return f"should be {code.name}"
    is_named = violations_of(outcome) == [field] if code is INVALID else field in outcome.message
    return "" if is_named else f"should name {field}"


async def test_bad_input_is_told_by_its_field_and_nothing_is_written(
    caller: Caller, redis: Redis
) -> None:
    before = await stored(redis), await remembered(caller)
    assert all(before)
    failures: list[tuple[str, ...]] = []
    for request, code, field in BAD:
        outcome = await call(caller, request)
        wrong = what_is_wrong(outcome, code, field)
        after = await stored(redis), await remembered(caller)
        if after != before:
            wrong, before = f"{wrong}, has written something", after
        if wrong:
            told = f"{outcome.code.name}: {outcome.message[:200]}"
            failures.append((type(request).__name__, str(request)[:100], told, wrong))
    assert failures == []


@pytest.mark.parametrize("memory_id", ["{x}", "gw:*", "gw:{a:b}:session", "*", "tälk", "../x"])
async def test_an_id_of_a_memory_is_never_more_than_an_id(
    caller: Caller, redis: Redis, memory_id: str
) -> None:
    before = await stored(redis), await remembered(caller)
    changed = await call(caller, pb.UpdateMemoryRequest(memory_id=memory_id, importance=1.0))
    assert (changed.code, memory_id in changed.message) == (NOT_FOUND, True)
    forgotten = await call(caller, pb.ForgetRequest(memory_ids={"ids": [memory_id]}))
    assert not any(forgotten.responses[0].receipt.removed.values())
    assert (await stored(redis), await remembered(caller)) == before


async def test_names_that_run_into_one_another_stay_apart(channel: grpc.aio.Channel) -> None:
    """Tenants, subjects, sessions and idempotency keys whose names join to the same text."""
    base = f"t{uuid4().hex}"
    named = [
        (Caller(channel, tenant, subject), session_id, key)
        for tenant, subject, session_id in (
            (base, "a", "b:c"),
            (base, "a:b", "c"),
            (f"{base}:a", "b", "c"),
            (f"{base}:a:b", "c", "c"),
            (base, "session", "turns"),
            (base, "turns", "session:turns"),
            (base, "listed", "c:session"),
            (base, "c:listed", "listed"),
            (f"{base}:usage", "ada", "2026-01-31"),
        )
        for key in ("", "{x}", "gw:*", "c")
    ]
    created: list[tuple[Caller, str]] = []
    for number, (caller, session_id, key) in enumerate(named):
        own_id = f"{session_id}:{number}"
        made = await call(caller, pb.CreateSessionRequest(session_id=own_id, idempotency_key=key))
        assert made.code is grpc.StatusCode.OK, made.message
        turns = [said(f"{number}")] * (number % 3 + 1)
        told = await call(caller, append(*turns, session_id=own_id, idempotency_key=key))
        assert told.responses[0].head == len(turns)
        created.append((caller, own_id))
    for number, (caller, own_id) in enumerate(created):
        read = await call(caller, pb.ListMessagesRequest(session_id=own_id))
        assert {turn.content for turn in read.responses[0].turns} == {f"{number}"}
        listed = await call(caller, pb.ListSessionsRequest())
        found = {session.id for session in listed.responses[0].sessions}
        assert found == {one for other, one in created if other == caller}
