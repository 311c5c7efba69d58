"""What the memory service gives: sessions, turns, contexts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast

from groundwire.call import Page
from groundwire.chat import Message, Role
from groundwire.v1 import generation_pb2, memory_service_pb2, session_pb2
from groundwire.values import JSON, enum_word, from_struct, to_time

ContextItemKind: TypeAlias = Literal[
    "system_prompt", "summary", "memory", "turn", "query", "unspecified", "unknown"
]
DropReason: TypeAlias = Literal["budget", "incomplete_exchange", "unspecified", "unknown"]


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


@dataclass(frozen=True, slots=True)
class ContextItem:
    """A run of pieces of one kind; ``why`` says why it was left out."""

    kind: ContextItemKind
    first_turn: int
    last_turn: int
    tokens: int
    why: DropReason


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
    )


def turns(message: memory_service_pb2.ListMessagesResponse) -> Page[Turn]:
    """A page of turns; its cursor is the number of the turn before the next."""
    following = str(message.next_after) if message.next_after else ""
    return Page([_turn(item) for item in message.turns], following)


def context(message: memory_service_pb2.BuildContextResponse) -> Context:
    """The answer of BuildContext."""
    report = message.report
    return Context(
        tuple(Message(_role(item.role), item.content, name=item.name) for item in message.messages),
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
    )


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
    )
