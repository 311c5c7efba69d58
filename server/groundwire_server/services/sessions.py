"""Sessions, turns and contexts on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from groundwire.v1 import generation_pb2, memory_service_pb2, session_pb2
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.records import Metadata

from groundwire_server.engines.engine import Role
from groundwire_server.identity import is_identity
from groundwire_server.memory.context import (
    Context,
    ContextItem,
    ContextPart,
    ContextReport,
    DropReason,
)
from groundwire_server.memory.session import (
    Answer,
    NewTurn,
    Parent,
    Session,
    SessionPage,
    SessionStats,
    Turn,
)
from groundwire_server.services.durations import duration_message
from groundwire_server.services.generation_messages import (
    MAX_NAME_BYTES,
    call_message,
    calls_of,
)
from groundwire_server.services.structs import dict_of, fill_struct
from groundwire_server.services.validate import (
    require,
    require_bytes,
    require_count,
    require_id,
    require_range,
    require_text,
)

MAX_MESSAGES = 100
MAX_TITLE_CHARACTERS = 256
MAX_METADATA_BYTES = 16 * 2**10
MAX_SOURCES = 1000
MAX_TTL_S = 100 * 365 * 86_400

_SESSION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_ROLES: dict[int, Role] = {
    generation_pb2.ROLE_SYSTEM: Role.SYSTEM,
    generation_pb2.ROLE_USER: Role.USER,
    generation_pb2.ROLE_ASSISTANT: Role.ASSISTANT,
    generation_pb2.ROLE_TOOL: Role.TOOL,
}
_ROLE_MESSAGES = {
    Role.SYSTEM: generation_pb2.ROLE_SYSTEM,
    Role.USER: generation_pb2.ROLE_USER,
    Role.ASSISTANT: generation_pb2.ROLE_ASSISTANT,
    Role.TOOL: generation_pb2.ROLE_TOOL,
}
_PART_MESSAGES = {
    ContextPart.SYSTEM_PROMPT: memory_service_pb2.CONTEXT_ITEM_KIND_SYSTEM_PROMPT,
    ContextPart.SUMMARY: memory_service_pb2.CONTEXT_ITEM_KIND_SUMMARY,
    ContextPart.MEMORY: memory_service_pb2.CONTEXT_ITEM_KIND_MEMORY,
    ContextPart.TURN: memory_service_pb2.CONTEXT_ITEM_KIND_TURN,
    ContextPart.QUERY: memory_service_pb2.CONTEXT_ITEM_KIND_QUERY,
}
_REASON_MESSAGES = {
    None: memory_service_pb2.DROP_REASON_UNSPECIFIED,
    DropReason.BUDGET: memory_service_pb2.DROP_REASON_BUDGET,
    DropReason.INCOMPLETE_EXCHANGE: memory_service_pb2.DROP_REASON_INCOMPLETE_EXCHANGE,
    DropReason.UNAVAILABLE: memory_service_pb2.DROP_REASON_UNAVAILABLE,
}


def require_session_id(value: str, field: str = "session_id") -> None:
    """Refuse an id that is not 1 to 128 characters of [A-Za-z0-9._:-]."""
    require(
        bool(_SESSION_ID.fullmatch(value)), field, "must be 1 to 128 characters of [A-Za-z0-9._:-]"
    )


def require_subject(value: str) -> None:
    """Refuse what is no subject of any caller."""
    require(is_identity(value), "subject", "must be 1 to 128 characters of [A-Za-z0-9._:@-]")


def require_title(value: str) -> None:
    """Refuse a title of more than 256 characters or with control characters."""
    require(
        len(value) <= MAX_TITLE_CHARACTERS,
        "title",
        f"is {len(value):,} characters long; at most {MAX_TITLE_CHARACTERS} are allowed",
    )
    require(not value or value.isprintable(), "title", "must not hold control characters")


def ttl_of(ttl: Duration) -> float:
    """Read a time to live, in seconds: 1 second to 100 years."""
    seconds = ttl.seconds + ttl.nanos / 1e9
    require_range(seconds, "ttl", low=1, high=MAX_TTL_S)
    return seconds


def new_turns_of(messages: Iterable[memory_service_pb2.NewMessage]) -> list[NewTurn]:
    """Read the messages of an append."""
    messages = list(messages)
    require_count(len(messages), "messages", high=MAX_MESSAGES)
    return [_new_turn_of(one, f"messages[{number}]") for number, one in enumerate(messages)]


def session_message(session: Session) -> session_pb2.Session:
    """Describe a session."""
    return session_pb2.Session(
        id=session.id,
        subject=session.subject,
        title=session.title,
        head=session.head,
        turn_count=session.turn_count,
        token_count=session.token_count,
        create_time=_timestamp(session.create_time),
        expire_time=_timestamp(session.expire_time),
        use_time=_timestamp(session.use_time),
        parent=_parent_message(session.parent) if session.parent else None,
    )


def page_message(page: SessionPage) -> memory_service_pb2.ListSessionsResponse:
    """Write a page of a list."""
    return memory_service_pb2.ListSessionsResponse(
        sessions=map(session_message, page.sessions),
        next_cursor=page.cursor,
        removed_sessions=page.removals.sessions,
        removed_time=_timestamp(page.removals.time),
    )


def stats_message(stats: SessionStats) -> memory_service_pb2.GetSessionStatsResponse:
    """Write what the turns of a session add up to."""
    return memory_service_pb2.GetSessionStatsResponse(
        turns=stats.turns,
        tokens=stats.tokens,
        average_latency=duration_message(stats.average_latency_s),
        average_confidence=stats.average_confidence or 0.0,
        first_time=_timestamp(stats.first_time),
        last_time=_timestamp(stats.last_time),
        answers_by_model=stats.answers_by_model,
    )


def turn_message(turn: Turn) -> session_pb2.Turn:
    """Write a turn."""
    message = session_pb2.Turn(
        number=turn.number,
        role=_ROLE_MESSAGES[turn.role],
        content=turn.content,
        create_time=_timestamp(turn.create_time),
        source_ids=turn.source_ids,
        token_count=turn.token_count,
        answer=_answer_message(turn.answer) if turn.answer else None,
        tool_calls=map(call_message, turn.tool_calls),
        name=turn.name,
    )
    if turn.metadata:
        fill_struct(message.metadata, turn.metadata)
    return message


def context_message(context: Context) -> memory_service_pb2.BuildContextResponse:
    """Write a context and its report."""
    built = memory_service_pb2.BuildContextResponse(report=_report_message(context.report))
    for one in context.messages:
        # Made in its place: a message that is put there is copied.
        built.messages.add(
            role=_ROLE_MESSAGES[one.role],
            content=one.content,
            name=one.name,
            tool_calls=map(call_message, one.tool_calls),
        )
    return built


def _new_turn_of(message: memory_service_pb2.NewMessage, field: str) -> NewTurn:
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidArgumentError(
            f"{field}.role", "must be one of ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL"
        )
    calls = calls_of(message.tool_calls, role, f"{field}.tool_calls")
    if message.content or not calls:
        require_text(message.content, f"{field}.content")
    require_bytes(message.name, f"{field}.name", max_bytes=MAX_NAME_BYTES)
    require_count(len(message.source_ids), f"{field}.source_ids", low=0, high=MAX_SOURCES)
    for number, source_id in enumerate(message.source_ids):
        require_id(source_id, f"{field}.source_ids[{number}]")
    return NewTurn(
        role=role,
        content=message.content,
        metadata=_metadata_of(message, f"{field}.metadata"),
        source_ids=tuple(message.source_ids),
        tool_calls=calls,
        name=message.name,
    )


def _metadata_of(message: memory_service_pb2.NewMessage, field: str) -> Metadata:
    if not message.HasField("metadata"):
        return {}
    size = message.metadata.ByteSize()
    require(
        size <= MAX_METADATA_BYTES,
        field,
        f"takes {size:,} bytes; at most {MAX_METADATA_BYTES:,} are allowed",
    )
    return dict_of(message.metadata, field)


def _parent_message(parent: Parent) -> session_pb2.SessionParent:
    return session_pb2.SessionParent(session_id=parent.session_id, turn=parent.turn)


def _answer_message(answer: Answer) -> session_pb2.TurnAnswer:
    return session_pb2.TurnAnswer(
        model=answer.model,
        latency=duration_message(answer.latency_s),
        confidence=answer.confidence,
    )


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def _report_message(report: ContextReport) -> memory_service_pb2.ContextReport:
    return memory_service_pb2.ContextReport(
        included=map(_item_message, report.included),
        dropped=map(_item_message, report.dropped),
        tokens=report.tokens,
        budget_tokens=report.budget_tokens,
        head=report.head,
    )


def _item_message(item: ContextItem) -> memory_service_pb2.ContextItem:
    return memory_service_pb2.ContextItem(
        kind=_PART_MESSAGES[item.part],
        first_turn=item.first_turn,
        last_turn=item.last_turn,
        tokens=item.tokens,
        why=_REASON_MESSAGES[item.why],
        memory_ids=item.memory_ids,
    )
