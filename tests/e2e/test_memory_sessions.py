"""Conversations over gRPC, on a whole server with its private Redis."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from groundwire.v1 import generation_pb2 as generation
from groundwire.v1 import memory_service_pb2 as pb
from groundwire.v1.memory_service_pb2_grpc import MemoryServiceStub
from groundwire_server.memory.redis_folder import RedisFolder

from tests.e2e.serving import TIMEOUT_S, ServerProcess
from tests.patience import until_seen

Code = grpc.StatusCode


class Caller:
    """One tenant's calls."""

    def __init__(self, address: str, tenant: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = MemoryServiceStub(self._channel)
        self._metadata = (("groundwire-tenant", tenant), ("groundwire-subject", "ada"))

    def __getattr__(self, method: str) -> Callable[..., Any]:
        request_type = getattr(pb, f"{method}Request")

        def call(**fields: Any) -> Any:
            return getattr(self._stub, method)(
                request_type(**fields),
                metadata=self._metadata,
                timeout=TIMEOUT_S,
                wait_for_ready=True,
            )

        return call

    def contents(self, session_id: str) -> list[str]:
        return [turn.content for turn in self.ListMessages(session_id=session_id).turns]

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def caller(server: ServerProcess) -> Iterator[Caller]:
    caller = Caller(server.address, f"memory-{uuid4()}")
    yield caller
    caller.close()


def said(content: str, role: generation.Role.ValueType = generation.ROLE_USER) -> pb.NewMessage:
    return pb.NewMessage(role=role, content=content)


def answered(content: str) -> pb.NewMessage:
    return said(content, generation.ROLE_ASSISTANT)


def details_of(error: grpc.RpcError, kind: type[Any]) -> Any:
    """The detail of one kind that a failed call carries."""
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    found = kind()
    assert any(detail.Unpack(found) for detail in status.details)
    return found


def test_a_conversation_is_kept_listed_packed_and_deleted(caller: Caller) -> None:
    session = caller.CreateSession(title="First light").session
    assert (session.subject, session.title) == ("ada", "First light")
    head = caller.AppendMessages(
        session_id=session.id,
        messages=[said("When does the dome open?"), answered("At dusk.")],
        expected_head=0,
    ).head
    assert head == 2
    assert caller.contents(session.id) == ["When does the dome open?", "At dusk."]
    assert caller.GetSession(session_id=session.id).session.token_count > 0

    built = caller.BuildContext(
        session_id=session.id, query="And in winter?", system_prompt="Be brief.", budget_tokens=200
    )
    assert [message.content for message in built.messages] == [
        "Be brief.",
        "When does the dome open?",
        "At dusk.",
        "And in winter?",
    ]
    assert built.report.tokens == sum(item.tokens for item in built.report.included) <= 200
    assert caller.DeleteSession(session_id=session.id).turns == 2
    with pytest.raises(grpc.RpcError) as raised:
        caller.GetSession(session_id=session.id)
    assert raised.value.code() is Code.NOT_FOUND


def test_a_moved_head_aborts_and_says_where_it_is(caller: Caller) -> None:
    caller.CreateSession(session_id="s")
    caller.AppendMessages(session_id="s", messages=[said("first")])
    for wrong in (0, 2, 2**64 - 1):
        with pytest.raises(grpc.RpcError) as raised:
            caller.AppendMessages(session_id="s", messages=[said("late")], expected_head=wrong)
        assert raised.value.code() is Code.ABORTED
        assert details_of(raised.value, error_details_pb2.ErrorInfo).metadata["head"] == "1"
    assert caller.contents("s") == ["first"]


def test_a_key_gives_the_first_answer_again_and_belongs_to_one_request(caller: Caller) -> None:
    created = caller.CreateSession(title="t", idempotency_key="k")
    assert caller.CreateSession(title="t", idempotency_key="k") == created
    request = {"session_id": created.session.id, "idempotency_key": "k"}
    for _ in range(2):
        assert caller.AppendMessages(**request, messages=[said("once")]).head == 1
    with pytest.raises(grpc.RpcError) as raised:
        caller.AppendMessages(**request, messages=[said("other")])
    assert raised.value.code() is Code.ALREADY_EXISTS
    assert caller.contents(created.session.id) == ["once"]


@pytest.mark.parametrize(
    ("method", "fields", "code", "field"),
    [
        ("CreateSession", {"session_id": "{a}:b"}, Code.INVALID_ARGUMENT, "session_id"),
        ("CreateSession", {"title": "a\0b"}, Code.INVALID_ARGUMENT, "title"),
        ("CreateSession", {"session_id": "s"}, Code.ALREADY_EXISTS, ""),
        ("GetSession", {"session_id": "unknown"}, Code.NOT_FOUND, ""),
        ("AppendMessages", {"session_id": "s"}, Code.INVALID_ARGUMENT, "messages"),
        (
            "AppendMessages",
            {"session_id": "s", "messages": [said("a"), said(" \n")]},
            Code.INVALID_ARGUMENT,
            "messages[1].content",
        ),
        (
            "AppendMessages",
            {"session_id": "s", "messages": [said("x" * 5 * 2**20)]},
            Code.INVALID_ARGUMENT,
            "messages[0].content",
        ),
        (
            "AppendMessages",
            {"session_id": "s", "messages": [pb.NewMessage(content="a")]},
            Code.INVALID_ARGUMENT,
            "messages[0].role",
        ),
        ("BuildContext", {"session_id": "s"}, Code.INVALID_ARGUMENT, "budget_tokens"),
        (
            "BuildContext",
            {"session_id": "s", "query": "a long question", "budget_tokens": 1},
            Code.OUT_OF_RANGE,
            "",
        ),
        (
            "BuildContext",
            {"session_id": "s", "budget_tokens": 9, "model": "unknown"},
            Code.NOT_FOUND,
            "",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    caller: Caller, method: str, fields: dict[str, Any], code: grpc.StatusCode, field: str
) -> None:
    caller.CreateSession(session_id="s")
    caller.AppendMessages(session_id="s", messages=[said("kept")])
    with pytest.raises(grpc.RpcError) as raised:
        getattr(caller, method)(**fields)
    assert raised.value.code() is code
    if field:
        bad = details_of(raised.value, error_details_pb2.BadRequest)
        assert [violation.field for violation in bad.field_violations] == [field]
    assert caller.contents("s") == ["kept"]


def test_a_tenant_finds_nothing_of_another(server: ServerProcess, caller: Caller) -> None:
    caller.CreateSession(session_id="s")
    caller.AppendMessages(session_id="s", messages=[said("secret")])
    other = Caller(server.address, f"memory-{uuid4()}")
    for method, fields in (
        ("GetSession", {}),
        ("ListMessages", {}),
        ("AppendMessages", {"messages": [said("x")]}),
        ("BuildContext", {"query": "x", "budget_tokens": 100}),
        ("DeleteSession", {}),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            getattr(other, method)(session_id="s", **fields)
        assert raised.value.code() is Code.NOT_FOUND
    assert other.CreateSession(session_id="s").session.head == 0
    other.close()
    assert caller.contents("s") == ["secret"]


def retried(call: Callable[[], Any]) -> Any:
    """What a client does while the store is away: the same again."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() is not Code.UNAVAILABLE or time.monotonic() > deadline:
                raise
            wait = details_of(error, error_details_pb2.RetryInfo).retry_delay.ToTimedelta()
            time.sleep(wait.total_seconds() / 100)


def test_turns_survive_the_death_of_redis_and_of_the_server(tmp_path: Path) -> None:
    redis = RedisFolder(tmp_path / "data/redis")
    process = ServerProcess(tmp_path / "data")
    with process:
        caller = Caller(process.address, "crash")
        caller.CreateSession(session_id="s")
        for number in range(30):
            if number % 10 == 5:
                (pid,) = redis.running()
                os.kill(pid, signal.SIGKILL)
            retried(
                lambda number=number: caller.AppendMessages(
                    session_id="s", messages=[said(str(number))], idempotency_key=str(number)
                )
            )
        (orphan,) = redis.running()
        caller.close()
        process.kill()
        assert redis.running() == [orphan]
    with process:
        caller = Caller(process.address, "crash")
        assert redis.running() != [orphan]
        assert len(redis.running()) == 1
        assert caller.contents("s") == [str(number) for number in range(30)]
        request = {"session_id": "s", "messages": [said("29")], "idempotency_key": "29"}
        assert caller.AppendMessages(**request).head == 30
        caller.close()
    assert redis.running() == []


def test_a_long_conversation_is_summarised_beside_and_forgotten_with_its_session(
    caller: Caller,
) -> None:
    session_id = caller.CreateSession().session.id
    for number in range(5):
        talk = " ".join(f"Sentence {number}.{n} is about item {n * 7 % 13}." for n in range(60))
        caller.AppendMessages(session_id=session_id, messages=[said(talk), answered("So it is.")])

    def context() -> pb.BuildContextResponse:
        return caller.BuildContext(session_id=session_id, query="And then?", budget_tokens=2000)

    def summary_in(built: pb.BuildContextResponse) -> list[tuple[int, int]]:
        return [
            (item.first_turn, item.last_turn)
            for item in built.report.included
            if item.kind == pb.CONTEXT_ITEM_KIND_SUMMARY
        ]

    until_seen(lambda: bool(summary_in(context())), "the conversation is summarised")
    ((first, last),) = summary_in(built := context())
    assert first == 1
    assert 2 <= last <= 10
    assert built.messages[0].role == generation.ROLE_SYSTEM
    assert f"Summary of turns 1 to {last}" in built.messages[0].content
    assert "User: Sentence 0." in built.messages[0].content
    assert built.report.tokens <= 2000

    receipt = caller.Forget(session_id=session_id).receipt
    assert receipt.removed["summary"] == 1
    assert not summary_in(context())
    assert len(caller.ListMessages(session_id=session_id).turns) == 10
