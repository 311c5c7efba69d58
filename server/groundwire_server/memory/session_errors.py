"""What is wrong with a call on sessions."""

from __future__ import annotations

from groundwire_index.errors import (
    AlreadyExistsError,
    ConflictError,
    FailedPreconditionError,
    InvalidArgumentError,
    LimitExceededError,
    NotFoundError,
    ResourceExhaustedError,
)


def resource(session_id: str) -> dict[str, str]:
    """Metadata that names a session."""
    return {"resource_type": "session", "resource_name": session_id}


def not_found(session_id: str) -> NotFoundError:
    """There is no such session."""
    return NotFoundError(
        f'there is no session "{session_id}": create it, or look whether it has expired',
        reason="SESSION_NOT_FOUND",
        metadata=resource(session_id),
    )


def id_taken(session_id: str) -> AlreadyExistsError:
    """There is a session of that id."""
    return AlreadyExistsError(
        f'session "{session_id}" exists already: choose another id, or use that one',
        reason="SESSION_EXISTS",
        metadata=resource(session_id),
    )


def key_taken() -> AlreadyExistsError:
    """The idempotency key was used for another request."""
    return AlreadyExistsError(
        "this idempotency_key was used for another request: use a new one",
        reason="IDEMPOTENCY_KEY_REUSED",
    )


def head_moved(session_id: str, expected_head: int | None, head: int) -> ConflictError:
    """Someone else has appended."""
    return ConflictError(
        f"the head of the session is {head}, not {expected_head}: read the turns after yours "
        "and append again",
        reason="HEAD_MOVED",
        metadata={**resource(session_id), "head": str(head)},
    )


def past_the_head(session_id: str, turn: int, head: int) -> LimitExceededError:
    """There is no such turn yet."""
    return LimitExceededError(
        f'at_turn: session "{session_id}" has no turn {turn}: its last is {head}',
        reason="PAST_THE_HEAD",
        metadata={**resource(session_id), "head": str(head)},
    )


def too_many_forks(session_id: str, most: int) -> ResourceExhaustedError:
    """A session has as many forks as it may have."""
    return ResourceExhaustedError(
        f'session "{session_id}" has {most:,} forks, and may not have more: delete some, or fork '
        "one of them",
        reason="TOO_MANY_FORKS",
        retry_after_s=None,
        metadata=resource(session_id),
    )


def too_deep(session_id: str, most: int) -> FailedPreconditionError:
    """A session shares turns with as many others as it may."""
    return FailedPreconditionError(
        f'session "{session_id}" is a fork of a fork, {most:,} times over: create a session, and '
        "append its turns to that",
        reason="FORKED_TOO_DEEP",
        metadata=resource(session_id),
    )


def bad_cursor() -> InvalidArgumentError:
    """A list cannot be continued."""
    return InvalidArgumentError(
        "cursor",
        "is older than ten minutes, or not of this list: pass next_cursor, or begin again",
        reason="CURSOR_EXPIRED",
    )
