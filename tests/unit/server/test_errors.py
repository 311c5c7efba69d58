from __future__ import annotations

import logging

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from groundwire_index import errors as domain
from groundwire_index.errors import (
    GroundwireError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from groundwire_server.errors import STATUS_OF, status_of
from groundwire_server.interceptors.errors import errors

from tests.unit.server.calls import (
    both_stream,
    client_stream,
    details_of,
    server_stream,
    serving,
    unary,
)

DOMAIN_ERRORS = [
    kind
    for kind in vars(domain).values()
    if isinstance(kind, type) and issubclass(kind, GroundwireError)
]


@pytest.mark.parametrize("kind", DOMAIN_ERRORS)
def test_every_domain_error_has_a_status_of_its_own(kind: type[GroundwireError]) -> None:
    assert kind in STATUS_OF
    assert list(STATUS_OF.values()).count(STATUS_OF[kind]) == 1


async def ended_with(error: BaseException) -> grpc.aio.AioRpcError:
    async def fail(request: StringValue, context: object) -> StringValue:
        raise error

    async with serving([errors], {"Fail": unary(fail)}) as calls:
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await calls.unary("Fail")(StringValue(value="x"))
        return ended.value


async def test_a_wrong_field_is_named() -> None:
    error = await ended_with(InvalidArgumentError("top_k", "must be 1 to 100"))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "top_k: must be 1 to 100"
    (violation,) = details_of(error)["BadRequest"].field_violations
    assert (violation.field, violation.description) == ("top_k", "must be 1 to 100")


async def test_programs_get_a_reason_and_what_it_is_about() -> None:
    error = await ended_with(
        NotFoundError(
            'no collection "x"',
            reason="COLLECTION_NOT_FOUND",
            metadata={"resource_type": "collection", "resource_name": "x"},
        )
    )
    assert error.code() is grpc.StatusCode.NOT_FOUND
    details = details_of(error)
    assert details["ErrorInfo"].domain == "groundwire"
    assert details["ErrorInfo"].reason == "COLLECTION_NOT_FOUND"
    assert details["ErrorInfo"].metadata["resource_name"] == "x"
    assert details["ResourceInfo"].resource_type == "collection"


@pytest.mark.parametrize("kind", [ResourceExhaustedError, UnavailableError])
async def test_what_passes_says_when_to_come_back(kind: type[UnavailableError]) -> None:
    error = await ended_with(kind("later", retry_after_s=2.5))
    assert details_of(error)["RetryInfo"].retry_delay.ToMilliseconds() == 2500
    assert dict(error.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "2500"


async def test_a_subclass_has_the_status_of_its_base() -> None:
    class NoSuchPageError(NotFoundError):
        pass

    assert status_of(NoSuchPageError("no page")).code is grpc.StatusCode.NOT_FOUND


async def test_an_unexpected_error_is_logged_under_an_incident_and_hidden(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        error = await ended_with(RuntimeError("secret internals"))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error.details()) + repr(details_of(error))
    incident = details_of(error)["ErrorInfo"].metadata["incident"]
    assert incident in str(error.details())
    (record,) = [each for each in caplog.records if each.exc_info]
    assert incident in record.getMessage()
    assert "secret internals" in caplog.text


async def test_a_very_long_message_still_arrives() -> None:
    error = await ended_with(
        NotFoundError("é" * 100_000, metadata={f"k{number}": "v" * 9_000 for number in range(99)})
    )
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert str(error.details()).startswith("ééé")
    assert details_of(error)["ErrorInfo"].metadata["k0"].startswith("vvv")


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\n\x02\xff\xfe"], ids=["garbage", "not UTF-8"])
@pytest.mark.parametrize("kind", ["unary", "server_stream", "client_stream", "both_stream"])
async def test_bytes_that_are_no_message_are_the_callers_mistake(data: bytes, kind: str) -> None:
    async def echo(request: StringValue, context: object) -> StringValue:
        return request

    async def repeat(request: StringValue, context: object):
        yield request

    async def last(requests, context: object) -> StringValue:
        return [request async for request in requests][-1]

    async def each(requests, context: object):
        async for request in requests:
            yield request

    async def sent():
        yield data

    handlers = {
        "unary": unary(echo),
        "server_stream": server_stream(repeat),
        "client_stream": client_stream(last),
        "both_stream": both_stream(each),
    }
    async with serving([errors], handlers) as calls:
        channel = calls.channel
        path = f"/test.Echo/{kind}"
        call = {
            "unary": lambda: channel.unary_unary(path)(data),
            "server_stream": lambda: channel.unary_stream(path)(data).read(),
            "client_stream": lambda: channel.stream_unary(path)(sent()),
            "both_stream": lambda: channel.stream_stream(path)(sent()).read(),
        }[kind]
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call()
        assert ended.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert details_of(ended.value)["ErrorInfo"].reason == "MALFORMED_MESSAGE"
        assert (await calls.unary("unary")(StringValue(value="alive"))).value == "alive"


async def test_a_status_that_a_handler_sends_itself_passes() -> None:
    async def abort(request: StringValue, context: grpc.aio.ServicerContext) -> StringValue:
        await context.abort(grpc.StatusCode.DATA_LOSS, "by itself")

    async with serving([errors], {"Abort": unary(abort)}) as calls:
        with pytest.raises(grpc.aio.AioRpcError, match="by itself") as ended:
            await calls.unary("Abort")(StringValue())
    assert ended.value.code() is grpc.StatusCode.DATA_LOSS


async def test_a_timeout_of_a_part_is_not_the_callers_deadline() -> None:
    assert (await ended_with(TimeoutError())).code() is grpc.StatusCode.INTERNAL
