from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from groundwire_server.identity import Identity, current_identity
from groundwire_server.interceptors.admission import Admission
from groundwire_server.interceptors.errors import errors
from groundwire_server.interceptors.identity import identity
from groundwire_server.interceptors.method import Method

from tests.patience import PATIENCE_S, longer_each_time
from tests.unit.server.calls import (
    both_stream,
    client_stream,
    details_of,
    server_stream,
    serving,
    unary,
)


async def echo(request: StringValue, context: object) -> StringValue:
    return request


async def repeat(request: StringValue, context: object):
    yield request
    yield request


async def write_twice(request: StringValue, context: grpc.aio.ServicerContext) -> None:
    await context.write(request)
    await context.write(request)


async def join(requests, context: object) -> StringValue:
    return StringValue(value="".join([request.value async for request in requests]))


async def each(requests, context: object):
    async for request in requests:
        yield request


KINDS = {
    "Echo": unary(echo),
    "Repeat": server_stream(repeat),
    "WriteTwice": server_stream(write_twice),
    "Join": client_stream(join),
    "Each": both_stream(each),
}


async def ab():
    yield StringValue(value="a")
    yield StringValue(value="b")


async def test_all_kinds_of_methods_pass_all_interceptors_in_order() -> None:
    seen: list[str] = []

    def named(name: str):
        def interceptor(method: Method, call):
            async def wrapped(request, context):
                seen.append(f"{name} {method.name}")
                return await call(request, context)

            return wrapped

        return interceptor

    async with serving([named("outer"), named("inner")], KINDS) as calls:
        a = StringValue(value="a")
        assert (await calls.unary("Echo")(a)).value == "a"
        assert [one.value async for one in calls.server_stream("Repeat")(a)] == ["a", "a"]
        assert [one.value async for one in calls.server_stream("WriteTwice")(a)] == ["a", "a"]
        assert (await calls.client_stream("Join")(ab())).value == "ab"
        assert [one.value async for one in calls.both_stream("Each")(ab())] == ["a", "b"]
    assert seen == [f"{where} {name}" for name in KINDS for where in ("outer", "inner")]


@pytest.mark.parametrize("kind", ["Server", "Both"])
async def test_a_generator_is_closed_when_its_client_goes_away(kind: str) -> None:
    closed = asyncio.Event()
    tasks = []

    async def endless(request: object, context: object):
        tasks.append(asyncio.current_task())
        try:
            while True:
                yield StringValue(value="more")
        finally:
            await asyncio.sleep(0)  # Closing may take awaiting: the engine is told.
            tasks.append(asyncio.current_task())
            closed.set()

    handlers = {"Server": server_stream(endless), "Both": both_stream(endless)}
    async with serving([errors], handlers) as calls:
        if kind == "Server":
            call = calls.server_stream("Server")(StringValue())
        else:
            call = calls.both_stream("Both")(ab())
        assert (await call.read()).value == "more"
        call.cancel()
        async with asyncio.timeout(PATIENCE_S):
            await closed.wait()
    # By the call itself, rather than by the garbage collector at some later time.
    assert tasks[0] is tasks[1]


async def test_a_call_is_cancelled_at_its_deadline() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def forever(request: StringValue, context: object) -> StringValue:
        began.set()
        try:
            return await asyncio.Future()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serving([errors], {"Forever": unary(forever)}) as calls:
        for deadline_s in longer_each_time(0.05):
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await calls.unary("Forever")(StringValue(), timeout=deadline_s)
            assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if began.is_set():  # Else it was over before it came there.
                break
        async with asyncio.timeout(PATIENCE_S):
            await cancelled.wait()


async def who(request: StringValue, context: object) -> StringValue:
    caller = current_identity.get()
    return StringValue(value=f"{caller.tenant}/{caller.subject}")


async def test_callers_are_who_their_metadata_says() -> None:
    async with serving([errors, identity], {"Who": unary(who)}) as calls:

        async def asked(*metadata: tuple[str, str]) -> str:
            return (await calls.unary("Who")(StringValue(), metadata=metadata)).value

        assert await asked() == "default/default"
        assert await asked(("groundwire-tenant", "acme")) == "acme/default"
        assert await asked(("groundwire-subject", "ann@acme.org")) == "default/ann@acme.org"
        both = (("groundwire-subject", "ann"), ("groundwire-tenant", "t" * 128))
        assert await asked(*both) == "t" * 128 + "/ann"
    assert Identity() == Identity("default", "default")


@pytest.mark.parametrize("value", ["", "a b", "a/b", "t" * 129, "*"])
@pytest.mark.parametrize("key", ["groundwire-tenant", "groundwire-subject"])
async def test_names_outside_the_rules_are_refused(key: str, value: str) -> None:
    async with serving([errors, identity], {"Who": unary(who)}) as calls:
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await calls.unary("Who")(StringValue(), metadata=((key, value),))
    assert ended.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details_of(ended.value)["BadRequest"].field_violations[0].field == key


async def test_two_tenants_in_one_call_are_refused() -> None:
    async with serving([errors, identity], {"Who": unary(who)}) as calls:
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await calls.unary("Who")(
                StringValue(), metadata=(("groundwire-tenant", "a"), ("groundwire-tenant", "b"))
            )
    assert ended.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_callers_do_not_see_each_others_identity() -> None:
    async def slow_who(request: StringValue, context: object) -> StringValue:
        before = current_identity.get()
        await barrier.wait()
        assert current_identity.get() is before
        return StringValue(value=before.tenant)

    barrier = asyncio.Barrier(3)
    async with serving([errors, identity], {"Who": unary(slow_who)}) as calls:
        answers = await asyncio.gather(
            *(
                calls.unary("Who")(StringValue(), metadata=(("groundwire-tenant", tenant),))
                for tenant in "abc"
            )
        )
    assert [answer.value for answer in answers] == ["a", "b", "c"]


async def refusal(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call
    return ended.value


async def test_a_call_too_many_is_refused_before_headers_and_says_when_to_retry() -> None:
    release = asyncio.Event()
    running = asyncio.Event()

    async def wait(request: StringValue, context: object) -> StringValue:
        running.set()
        await release.wait()
        return request

    admission = Admission(1)
    admission.open()
    async with serving([errors, admission], {"Wait": unary(wait)}) as calls:
        first = calls.unary("Wait")(StringValue(value="first"))
        await running.wait()
        second = calls.unary("Wait")(StringValue(), timeout=PATIENCE_S)
        error = await refusal(second)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details_of(error)["ErrorInfo"].reason == "TOO_MANY_CALLS"
        assert details_of(error)["RetryInfo"].retry_delay.ToMilliseconds() == 1000
        assert not await second.initial_metadata()
        release.set()
        assert (await first).value == "first"
        assert (await calls.unary("Wait")(StringValue(value="next"))).value == "next"
    assert admission.running == 0


async def test_calls_are_refused_while_starting_and_while_stopping() -> None:
    admission = Admission(8)
    async with serving([errors, admission], KINDS) as calls:
        error = await refusal(calls.unary("Echo")(StringValue()))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert details_of(error)["ErrorInfo"].reason == "STARTING"
        admission.open()
        assert (await calls.unary("Echo")(StringValue(value="a"))).value == "a"
        admission.close()
        for call in (
            calls.unary("Echo")(StringValue()),
            calls.server_stream("Repeat")(StringValue()).read(),
            calls.client_stream("Join")(ab()),
            calls.both_stream("Each")(ab()).read(),
        ):
            error = await refusal(call)
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert details_of(error)["ErrorInfo"].reason == "STOPPING"
            assert "RetryInfo" in details_of(error)


async def test_a_call_that_fails_or_is_cancelled_makes_room() -> None:
    admission = Admission(1)
    admission.open()
    began = asyncio.Event()

    async def fail(request: StringValue, context: object) -> StringValue:
        raise ValueError

    async def hang(request: StringValue, context: object) -> StringValue:
        began.set()
        return await asyncio.Future()

    handlers = {"Fail": unary(fail), "Hang": unary(hang), **KINDS}
    async with serving([errors, admission], handlers) as calls:
        await refusal(calls.unary("Fail")(StringValue()))
        hanging = calls.unary("Hang")(StringValue())
        await began.wait()
        assert not await admission.wait_idle(0)
        hanging.cancel()
        assert await admission.wait_idle(PATIENCE_S)
        assert (await calls.unary("Echo")(StringValue(value="a"))).value == "a"
