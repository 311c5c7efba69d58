"""Sessions."""

from __future__ import annotations

from collections.abc import Sequence

from groundwire.call import Pages, Unary, call
from groundwire.chat import Message, NewMessage
from groundwire.made import made
from groundwire.requests.keys import idempotency_key as key
from groundwire.results import sessions as results
from groundwire.v1 import generation_pb2
from groundwire.v1 import memory_service_pb2 as pb
from groundwire.values import enum_number, to_duration, to_struct


def create_session(
    session_id: str = "",
    *,
    title: str = "",
    ttl: float | None = None,
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[results.Session]:
    """Create an empty session; the server makes up an id if there is none.

    After ``ttl`` seconds without use it is deleted; None keeps it.
    """
    request = pb.CreateSessionRequest(
        session_id=session_id,
        title=title,
        ttl=None if ttl is None else to_duration("ttl", ttl),
        idempotency_key=key(idempotency_key),
    )
    return call(
        "MemoryService/CreateSession",
        request,
        pb.CreateSessionResponse,
        lambda answer: results.session(answer.session),
        timeout,
    )


def get_session(session_id: str, *, timeout: float | None = None) -> Unary[results.Session]:
    """Describe a session."""
    return call(
        "MemoryService/GetSession",
        pb.GetSessionRequest(session_id=session_id),
        pb.GetSessionResponse,
        lambda answer: results.session(answer.session),
        timeout,
    )


def list_sessions(
    subject: str = "", *, page_size: int = 100, timeout: float | None = None
) -> Pages[results.Session]:
    """Iterate over the sessions of a subject, the caller's if empty, latest use first.

    They are those that there were at the first page, without those that have ended since.
    """
    return Pages(
        lambda cursor: call(
            "MemoryService/ListSessions",
            made(pb.ListSessionsRequest, subject=subject, page_size=page_size, cursor=cursor),
            pb.ListSessionsResponse,
            results.sessions,
            timeout,
        )
    )


def removed_sessions(
    subject: str = "", *, timeout: float | None = None
) -> Unary[results.RemovedSessions]:
    """What the server's retention has removed of a subject's sessions, the caller's if empty."""
    return call(
        "MemoryService/ListSessions",
        pb.ListSessionsRequest(subject=subject, page_size=1),
        pb.ListSessionsResponse,
        results.removed,
        timeout,
    )


def fork_session(
    session_id: str,
    at_turn: int,
    *,
    new_session_id: str = "",
    title: str = "",
    ttl: float | None = None,
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[results.Session]:
    """Make a session that shares another's turns up to ``at_turn``.

    OutOfRangeError past the head. The fork stays whole when the other session is deleted.
    ``ttl`` None: as the other session.
    """
    request = made(
        pb.ForkSessionRequest,
        session_id=session_id,
        at_turn=at_turn,
        new_session_id=new_session_id,
        title=title,
        ttl=None if ttl is None else to_duration("ttl", ttl),
        idempotency_key=key(idempotency_key),
    )
    return call(
        "MemoryService/ForkSession",
        request,
        pb.ForkSessionResponse,
        lambda answer: results.session(answer.session),
        timeout,
    )


def list_forks(
    session_id: str, *, timeout: float | None = None
) -> Unary[tuple[results.Session, ...]]:
    """The forks of a session, by the turn where they were made."""
    return call(
        "MemoryService/ListForks",
        pb.ListForksRequest(session_id=session_id),
        pb.ListForksResponse,
        lambda answer: tuple(map(results.session, answer.sessions)),
        timeout,
    )


def get_thread(
    session_id: str, *, timeout: float | None = None
) -> Unary[tuple[results.Session, ...]]:
    """All sessions that came from one by forking, each before its forks."""
    return call(
        "MemoryService/GetThread",
        pb.GetThreadRequest(session_id=session_id),
        pb.GetThreadResponse,
        lambda answer: tuple(map(results.session, answer.sessions)),
        timeout,
    )


def get_session_stats(
    session_id: str, *, timeout: float | None = None
) -> Unary[results.SessionStats]:
    """Counts and averages of a session, with the turns that a fork shares."""
    return call(
        "MemoryService/GetSessionStats",
        pb.GetSessionStatsRequest(session_id=session_id),
        pb.GetSessionStatsResponse,
        results.stats,
        timeout,
    )


def delete_session(session_id: str, *, timeout: float | None = None) -> Unary[int]:
    """Delete a session; the number of turns removed. Not repeated after a failure."""
    return call(
        "MemoryService/DeleteSession",
        pb.DeleteSessionRequest(session_id=session_id),
        pb.DeleteSessionResponse,
        lambda answer: answer.turns,
        timeout,
    )


def append(
    session_id: str,
    messages: Sequence[NewMessage | Message | results.Turn],
    *,
    expected_head: int | None = None,
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[int]:
    """Append up to 100 messages, all or none; the number of the last.

    Turns of another session are copied with their metadata and source ids.

    With ``expected_head``, AbortedError if the head is another; its ``metadata["head"]``
    says which.
    """
    request = made(
        pb.AppendMessagesRequest,
        session_id=session_id,
        expected_head=expected_head,
        messages=[_message(item) for item in messages],
        idempotency_key=key(idempotency_key),
    )
    return call(
        "MemoryService/AppendMessages",
        request,
        pb.AppendMessagesResponse,
        lambda answer: answer.head,
        timeout,
    )


def messages(
    session_id: str, *, after: int = 0, page_size: int = 100, timeout: float | None = None
) -> Pages[results.Turn]:
    """Iterate over the turns with a number above ``after``, in order."""
    return Pages(
        lambda cursor: call(
            "MemoryService/ListMessages",
            made(
                pb.ListMessagesRequest,
                session_id=session_id,
                after=int(cursor or after),
                page_size=page_size,
            ),
            pb.ListMessagesResponse,
            results.turns,
            timeout,
        )
    )


def build_context(
    session_id: str,
    *,
    budget_tokens: int,
    query: str = "",
    model: str = "",
    system_prompt: str = "",
    timeout: float | None = None,
) -> Unary[results.Context]:
    """Pack what a model should see into a token budget, and report what went in."""
    request = made(
        pb.BuildContextRequest,
        session_id=session_id,
        query=query,
        budget_tokens=budget_tokens,
        model=model,
        system_prompt=system_prompt,
    )
    return call(
        "MemoryService/BuildContext", request, pb.BuildContextResponse, results.context, timeout
    )


def _message(given: NewMessage | Message | results.Turn) -> pb.NewMessage:
    message = _of_chat(given) if isinstance(given, Message) else given
    if not isinstance(message, NewMessage | results.Turn):
        raise TypeError(
            f"Give NewMessage(role, content), a Message or a Turn, and not {message!r:.100}."
        )
    return pb.NewMessage(
        role=enum_number(generation_pb2.Role.DESCRIPTOR, message.role),
        content=message.content,
        metadata=to_struct(message.metadata) if message.metadata else None,
        source_ids=message.source_ids,
        tool_calls=[
            generation_pb2.ToolCall(id=call.id, name=call.name, arguments=call.arguments)
            for call in message.tool_calls
        ],
        name=message.name,
    )


def _of_chat(message: Message) -> NewMessage:
    return NewMessage(
        message.role, message.content, tool_calls=message.tool_calls, name=message.name
    )
