"""What can go wrong, as one small tree of exceptions.

Each says in its message what was wrong and what to do about it, and carries a stable
``reason`` in UPPER_SNAKE_CASE that programs can branch on. The server reuses this tree and
maps it to gRPC statuses in one table; used as a library, these are what you catch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that was wrong."""

    field: str
    """Path of the field, e.g. ``records[3].vector``."""
    description: str
    """What was wrong and what is allowed."""


class GroundwireError(Exception):
    """Base of every error that Groundwire raises on purpose."""

    reason = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or type(self).reason
        self.metadata: Mapping[str, str] = dict(metadata or {})


class InvalidArgumentError(GroundwireError):
    """A field has a value that is never allowed."""

    reason = "INVALID_ARGUMENT"

    def __init__(self, field: str, description: str, *, reason: str | None = None) -> None:
        super().__init__(f"{field}: {description}", reason=reason)
        self.violations = (FieldViolation(field, description),)


class NotFoundError(GroundwireError):
    """The named thing does not exist (for this tenant)."""

    reason = "NOT_FOUND"


class AlreadyExistsError(GroundwireError):
    """The name, or the idempotency key with another payload, is taken."""

    reason = "ALREADY_EXISTS"


class ConflictError(GroundwireError):
    """Someone else wrote first: read again and retry."""

    reason = "CONFLICT"


class FailedPreconditionError(GroundwireError):
    """The request is fine, but not in this state or with this configuration."""

    reason = "FAILED_PRECONDITION"


class LimitExceededError(GroundwireError):
    """A valid request is past a limit that depends on the state, such as a context length."""

    reason = "OUT_OF_RANGE"


class ResourceExhaustedError(GroundwireError):
    """No room: too many requests, no space on the disk, or a message that is too large.

    ``retry_after_s`` None: trying the same again does not help.
    """

    reason = "RESOURCE_EXHAUSTED"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        retry_after_s: float | None = 1.0,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.retry_after_s = retry_after_s


class UnavailableError(GroundwireError):
    """A part that is needed is down or still starting: come back later."""

    reason = "UNAVAILABLE"

    def __init__(
        self, message: str, *, reason: str | None = None, retry_after_s: float = 1.0
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_after_s = retry_after_s


class DataLossError(GroundwireError):
    """Stored data does not match its checksum or count."""

    reason = "DATA_LOSS"


class UnsupportedError(GroundwireError):
    """This backend or engine cannot do it."""

    reason = "UNSUPPORTED"
