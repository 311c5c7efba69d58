"""Failures arrive as exceptions with everything the server said."""

from __future__ import annotations

import subprocess
import sys

import grpc
import pytest
from groundwire import errors
from groundwire.details import ErrorDetails, FieldViolation, decode
from groundwire.v1 import admin_service_pb2_grpc

from tests.unit.client.scripted import failure, serving


class Failing(admin_service_pb2_grpc.AdminServiceServicer):
    def __init__(self, status: grpc.Status) -> None:
        self.status = status

    def Abort(self, request, context):  # noqa: N802
        context.abort_with_status(self.status)


async def raised(ask, status: grpc.Status) -> errors.GroundwireError:
    with serving(Failing(status)) as address, pytest.raises(errors.GroundwireError) as caught:
        await ask(address, lambda client: client.admin.abort("r"))
    return caught.value


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.value[0] != 0])
async def test_each_status_has_its_exception(ask, code: grpc.StatusCode) -> None:
    error = await raised(ask, failure(code, "it failed"))
    assert error.code is code
    assert str(error) == error.message == "it failed"
    assert type(error) is errors.BY_CODE[code] is not errors.GroundwireError


async def test_reason_metadata_and_violations_are_read(ask) -> None:
    status = failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "two fields are wrong",
        reason="BAD_FIELDS",
        metadata={"head": "4", "tenant": "acme"},
        fields={"top_k": "must be 1 to 1,000", "collection": "is empty"},
    )
    error = await raised(ask, status)
    assert isinstance(error, errors.InvalidArgumentError)
    assert error.reason == "BAD_FIELDS"
    assert error.metadata == {"head": "4", "tenant": "acme"}
    assert error.violations == (
        FieldViolation("top_k", "must be 1 to 1,000"),
        FieldViolation("collection", "is empty"),
    )
    assert error.retry_after is None


async def test_when_to_come_back_is_in_seconds(ask) -> None:
    status = failure(grpc.StatusCode.UNAVAILABLE, "starting", retry_after_s=1.5)
    assert (await raised(ask, status)).retry_after == 1.5


async def test_a_failure_without_details_has_none(ask) -> None:
    error = await raised(ask, failure(grpc.StatusCode.ABORTED, "no"))
    assert (error.reason, error.metadata, error.violations) == ("", {}, ())


async def test_a_size_limit_of_grpc_says_what_to_do(ask) -> None:
    failing = Failing(failure(grpc.StatusCode.ABORTED, "no"))
    with serving(failing) as address, pytest.raises(errors.ResourceExhaustedError) as caught:
        await ask(address, lambda client: client.admin.abort("r" * 200), max_message_bytes=100)
    assert "larger than max" in caught.value.message
    assert "raise max_message_bytes of this client" in caught.value.message


async def test_the_cause_is_the_grpc_error(ask) -> None:
    error = await raised(ask, failure(grpc.StatusCode.ABORTED, "no"))
    assert isinstance(error.__cause__, grpc.RpcError)


def test_details_that_cannot_be_read_are_left_out() -> None:
    assert decode([("grpc-status-details-bin", b"\xff\xff\xff")]) == ErrorDetails()


async def test_a_server_that_is_not_there_is_unavailable_without_a_reason(ask, closed_port) -> None:
    with pytest.raises(errors.UnavailableError) as caught:
        await ask(f"127.0.0.1:{closed_port}", lambda client: client.admin.abort("r"))
    assert caught.value.reason == ""


DECODE = """
import sys
{before}
from groundwire.details import decode
{after}
found = decode([("grpc-status-details-bin", bytes.fromhex("{status}"))])
print(found.reason, found.violations[0].field, found.retry_after)
"""
ABSENT = "sys.modules['google.rpc'] = None"
PRESENT = "from google.rpc import error_details_pb2, status_pb2; status_pb2.Status()"


@pytest.mark.parametrize(
    ("before", "after"),
    [(ABSENT, ""), (PRESENT, ""), ("", PRESENT)],
    ids=["absent", "imported before", "imported after"],
)
def test_details_are_read_with_and_without_googleapis_common_protos(
    before: str, after: str
) -> None:
    status = failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "no",
        reason="BAD",
        fields={"top_k": "is 0"},
        retry_after_s=2,
    )
    data = dict(status.trailing_metadata)["grpc-status-details-bin"].hex()
    script = DECODE.format(before=before, after=after, status=data)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "BAD top_k 2.0", done.stderr
