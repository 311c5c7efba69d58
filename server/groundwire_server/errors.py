"""Domain error -> gRPC status: the one table, and the google.rpc details that go with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from groundwire_index.errors import (
    AlreadyExistsError,
    ConflictError,
    DataLossError,
    FailedPreconditionError,
    FieldViolation,
    GroundwireError,
    InvalidArgumentError,
    LimitExceededError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
    UnsupportedError,
)

from groundwire_server.services.durations import duration_message

DOMAIN = "groundwire"

STATUS_OF: dict[type[GroundwireError], grpc.StatusCode] = {
    GroundwireError: grpc.StatusCode.INTERNAL,
    InvalidArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    ConflictError: grpc.StatusCode.ABORTED,
    FailedPreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    LimitExceededError: grpc.StatusCode.OUT_OF_RANGE,
    ResourceExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
    DataLossError: grpc.StatusCode.DATA_LOSS,
    UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
}

# Message and details travel in HTTP/2 trailers, of which many clients take 8 KiB in all.
_MAX_TEXT_BYTES = 768
_MAX_METADATA_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Status:
    """How a failed call ends."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]


def status_of(error: GroundwireError) -> Status:
    """The status, message and trailing metadata that tell a client of this error."""
    return status(code_of(type(error)), error.message, _details_of(error), _pushback_of(error))


def internal_status(incident: str) -> Status:
    """The status of an unexpected error: nothing of it but the id its log line has."""
    message = f"internal error, logged by the server as incident {incident}"
    info = error_details_pb2.ErrorInfo(
        reason="INTERNAL", domain=DOMAIN, metadata={"incident": incident}
    )
    return status(grpc.StatusCode.INTERNAL, message, [info])


def status(
    code: grpc.StatusCode,
    message: str,
    details: Iterable[Message],
    trailers: Iterable[tuple[str, str]] = (),
) -> Status:
    """Put a status together with its details as ``grpc-status-details-bin``."""
    number: int = code.value[0]
    clipped = _clip(message)
    rich = status_pb2.Status(code=number, message=clipped, details=map(_packed, details))
    return Status(code, clipped, (("grpc-status-details-bin", rich.SerializeToString()), *trailers))


def code_of(kind: type[GroundwireError]) -> grpc.StatusCode:
    """The status code of a kind of error."""
    return next(STATUS_OF[base] for base in kind.__mro__ if base in STATUS_OF)


def _details_of(error: GroundwireError) -> Iterator[Message]:
    yield error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata=dict(_bounded(error.metadata.items()))
    )
    if isinstance(error, InvalidArgumentError):
        yield error_details_pb2.BadRequest(field_violations=map(_violation, error.violations))
    if isinstance(error, ResourceExhaustedError | UnavailableError):
        yield from _retry_info(error.retry_after_s)
    if "resource_name" in error.metadata:
        yield error_details_pb2.ResourceInfo(
            resource_type=_clip(error.metadata.get("resource_type", "")),
            resource_name=_clip(error.metadata["resource_name"]),
        )


# Seconds past which a client had better say why than wait.
LONGEST_PUSHBACK_S = 5.0


def _pushback_ms(retry_after_s: float | None) -> str:
    """A negative one keeps gRPC from retrying by itself, silently, until the deadline."""
    if retry_after_s is None or retry_after_s > LONGEST_PUSHBACK_S:
        return "-1"
    return str(round(retry_after_s * 1000))


def _pushback_of(error: GroundwireError) -> tuple[tuple[str, str], ...]:
    # gRPC's own retry policy reads this one, and waits as long before it tries again.
    if isinstance(error, ResourceExhaustedError | UnavailableError):
        return (("grpc-retry-pushback-ms", _pushback_ms(error.retry_after_s)),)
    return ()


def _retry_info(retry_after_s: float | None) -> Iterator[Message]:
    if retry_after_s is not None:
        yield error_details_pb2.RetryInfo(retry_delay=duration_message(retry_after_s))


def _violation(violation: FieldViolation) -> error_details_pb2.BadRequest.FieldViolation:
    return error_details_pb2.BadRequest.FieldViolation(
        field=_clip(violation.field), description=_clip(violation.description)
    )


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


def _bounded(items: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    room = _MAX_METADATA_BYTES
    for key, value in items:
        clipped = _clip(value)
        room -= len(key) + len(clipped.encode())
        if room < 0:
            return
        yield key, clipped


def _clip(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= _MAX_TEXT_BYTES:
        return data.decode()
    return data[:_MAX_TEXT_BYTES].decode("utf-8", "ignore") + "…"
