"""What the memory service gives: sessions, turns, contexts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast

from groundwire.call import Page
from groundwire.chat import Message, Role, ToolCall
from groundwire.v1 import generation_pb2, memory_service_pb2, session_pb2
from groundwire.values import JSON, enum_word, from_struct, to_seconds, to_time

ContextItemKind: TypeAlias = Literal[
    "system_prompt", "summary", "memory", "turn", "query", "unspecified", "unknown"
]
DropReason: TypeAlias = Literal[
    "budget", "incomplete_exchange", "unavailable", "unspecified", "unknown"
]


@dataclass(frozen=True, slots=True)
class SessionParent:
    """Where a session was forked: the last turn that is shared."""

    session_id: str
    turn: int


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation of one subject."""

    id: str
    subject: str
    title: str
    head: int
    """Number of the last turn; 0 for an empty session."""
    turn_count: int
    token_count: int
    create_time: datetime | None
    expire_time: datetime | None
    """None: kept until deleted."""
    use_time: datetime | None = None
    """When it was last appended to, read or forked, to a second."""
    parent: SessionParent | None = None


@dataclass(frozen=True, slots=True)
class SessionStats:
    """What the turns of a session add up to, those that a fork shares included."""

    turns: int
    tokens: int
    answers_by_model: Mapping[str, int]
    average_latency_s: float | None
    """Of the answers that were generated, from the request to the last token."""
    average_confidence: float
    """Of those that have one; 0 if there is none."""
    first_time: datetime | None
    last_time: datetime | None


@dataclass(frozen=True, slots=True)
class RemovedSessions:
    """What the server's retention has removed so far, and when last."""

    sessions: int
    time: datetime | None


@dataclass(frozen=True, slots=True)
class TurnAnswer:
    """How an answer came about."""

    model: str
    latency_s: float
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a session. Numbers count from 1 without gaps."""

    number: int
    role: Role
    content: str
    create_time: datetime | None
    metadata: Mapping[str, JSON]
    source_ids: tuple[str, ...]
    """Chunk ids of the passages that the turn cites."""
    token_count: int
    answer: TurnAnswer | None = None
    """Of an answer that the server has generated and stored."""
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""
    """For a tool's answer, the id of the call."""


@dataclass(frozen=True, slots=True)
class ContextItem:
    """A run of pieces of one kind; ``why`` says why it was left out."""

    kind: ContextItemKind
    first_turn: int
    last_turn: int
    tokens: int
    why: DropReason
    memory_ids: tuple[str, ...] = ()
    """Of memories, best first."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a model should see, and how it was chosen."""

    messages: tuple[Message, ...]
    included: tuple[ContextItem, ...]
    dropped: tuple[ContextItem, ...]
    tokens: int
    budget_tokens: int
    head: int


def session(message: session_pb2.Session) -> Session:
    """A session from its message."""
    return Session(
        message.id,
        message.subject,
        message.title,
        message.head,
        message.turn_count,
        message.token_count,
        to_time(message.create_time),
        to_time(message.expire_time),
        to_time(message.use_time),
        SessionParent(message.parent.session_id, message.parent.turn)
        if message.HasField("parent")
        else None,
    )


def sessions(message: memory_service_pb2.ListSessionsResponse) -> Page[Session]:
    """A page of sessions."""
    return Page([session(item) for item in message.sessions], message.next_cursor)


def removed(message: memory_service_pb2.ListSessionsResponse) -> RemovedSessions:
    """What is said beside a page of sessions."""
    return RemovedSessions(message.removed_sessions, to_time(message.removed_time))


def stats(message: memory_service_pb2.GetSessionStatsResponse) -> SessionStats:
    """What the turns of a session add up to."""
    return SessionStats(
        message.turns,
        message.tokens,
        dict(message.answers_by_model),
        to_seconds(message.average_latency) if message.HasField("average_latency") else None,
        message.average_confidence,
        to_time(message.first_time),
        to_time(message.last_time),
    )


def turns(message: memory_service_pb2.ListMessagesResponse) -> Page[Turn]:
    """A page of turns; its cursor is the number of the turn before the next."""
    following = str(message.next_after) if message.next_after else ""
    return Page([_turn(item) for item in message.turns], following)


def context(message: memory_service_pb2.BuildContextResponse) -> Context:
    """The answer of BuildContext."""
    report = message.report
    return Context(
        tuple(
            Message(_role(item.role), item.content, _calls(item.tool_calls), item.name)
            for item in message.messages
        ),
        tuple(_item(item) for item in report.included),
        tuple(_item(item) for item in report.dropped),
        report.tokens,
        report.budget_tokens,
        report.head,
    )


def _turn(message: session_pb2.Turn) -> Turn:
    return Turn(
        message.number,
        _role(message.role),
        message.content,
        to_time(message.create_time),
        from_struct(message.metadata),
        tuple(message.source_ids),
        message.token_count,
        _answer(message.answer) if message.HasField("answer") else None,
        _calls(message.tool_calls),
        message.name,
    )


def _answer(message: session_pb2.TurnAnswer) -> TurnAnswer:
    confidence = message.confidence if message.HasField("confidence") else None
    return TurnAnswer(message.model, to_seconds(message.latency), confidence)


def _calls(messages: Iterable[generation_pb2.ToolCall]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(one.id, one.name, one.arguments) for one in messages)


def _role(number: generation_pb2.Role.ValueType) -> Role:
    return cast(Role, enum_word(generation_pb2.Role.DESCRIPTOR, number))


def _item(message: memory_service_pb2.ContextItem) -> ContextItem:
    kind = enum_word(memory_service_pb2.ContextItemKind.DESCRIPTOR, message.kind)
    why = enum_word(memory_service_pb2.DropReason.DESCRIPTOR, message.why)
    return ContextItem(
        cast(ContextItemKind, kind),
        message.first_turn,
        message.last_turn,
        message.tokens,
        cast(DropReason, why),
        tuple(message.memory_ids),
    )
