"""What a call can raise: one exception for each gRPC status, with the server's details.

Every one is a :class:`GroundwireError`, so that is what to catch when the kind does not
matter. The message says what was wrong and what to do; ``reason`` is a stable word in
UPPER_SNAKE_CASE to branch on. Values that no server needs to see to be refused, such as a
vector of three bytes, raise ``ValueError`` or ``TypeError`` instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc

from groundwire.details import ErrorDetails, FieldViolation, decode

__all__ = ["ErrorDetails", "FieldViolation", "GroundwireError", "from_rpc_error", "translated"]


NO_DETAILS = ErrorDetails()


class GroundwireError(Exception):
    """A call failed.

    ``code`` is the gRPC status, ``reason`` the server's stable word for the cause (empty if
    the server gave none, which is so when the call never reached one), ``metadata`` more
    about it by name, ``violations`` the fields that were wrong, and ``retry_after`` the
    seconds after which the server thinks that trying again is worth it.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(self, message: str, details: ErrorDetails = NO_DETAILS) -> None:
        super().__init__(message)
        self.message = message
        self.reason = details.reason
        self.metadata = details.metadata
        self.violations = details.violations
        self.retry_after = details.retry_after


class CallCancelledError(GroundwireError):
    """The call was cancelled, by this side or the other."""

    code = grpc.StatusCode.CANCELLED


class UnknownError(GroundwireError):
    """The server failed in a way it did not foresee."""


class InvalidArgumentError(GroundwireError):
    """A field of the request is wrong: see ``violations``."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class DeadlineExceededError(GroundwireError):
    """The call took longer than its timeout. A write may have happened nevertheless."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class NotFoundError(GroundwireError):
    """The collection, session, model or document does not exist for this tenant."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExistsError(GroundwireError):
    """The name is taken, or the idempotency key was used for another request."""

    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDeniedError(GroundwireError):
    """The caller may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class ResourceExhaustedError(GroundwireError):
    """No room at the moment, or a message over the size limit."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPreconditionError(GroundwireError):
    """The request is fine, but not in this state or with this configuration."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class AbortedError(GroundwireError):
    """Someone else wrote first: read again and retry."""

    code = grpc.StatusCode.ABORTED


class OutOfRangeError(GroundwireError):
    """Past a limit that depends on the state, such as a model's context length."""

    code = grpc.StatusCode.OUT_OF_RANGE


class UnimplementedError(GroundwireError):
    """This server, or the engine that was asked, cannot do it."""

    code = grpc.StatusCode.UNIMPLEMENTED


class InternalError(GroundwireError):
    """The server broke one of its own rules."""

    code = grpc.StatusCode.INTERNAL


class UnavailableError(GroundwireError):
    """The server, or a part of it, cannot be reached. Without a ``reason``: the server."""

    code = grpc.StatusCode.UNAVAILABLE


class DataLossError(GroundwireError):
    """Stored data does not match its checksum."""

    code = grpc.StatusCode.DATA_LOSS


class UnauthenticatedError(GroundwireError):
    """The caller did not say who it is, or could not prove it."""

    code = grpc.StatusCode.UNAUTHENTICATED


BY_CODE: Mapping[grpc.StatusCode, type[GroundwireError]] = {
    kind.code: kind for kind in GroundwireError.__subclasses__()
}


def from_rpc_error(error: grpc.RpcError) -> GroundwireError:
    """The exception for a failed call, with what its trailing metadata says."""
    kind = BY_CODE.get(error.code(), UnknownError)
    message = error.details() or kind.code.value[1]
    # gRPC's own words for a size limit, its own or the server's.
    if kind is ResourceExhaustedError and "message larger than max" in message:
        message += TOO_LARGE
    return kind(message, decode(error.trailing_metadata() or ()))


TOO_LARGE = (
    ": send or ask for less in a call, send a document with ingest, or raise max_message_bytes "
    "of this client and of the server"
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise gRPC's errors as ours."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error
