"""The three ways in which a generation ends before its time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from groundwire.v1.generate_service_pb2 import GenerateRequest, GenerateResponse
from groundwire.v1.generation_pb2 import FINISH_REASON_ABORTED

from tests.e2e.generate.serving import Serving, rest_of
from tests.patience import EndedBeforeError, during, longer_each_time, until

REQUEST_ID = "r-1"
# At first: far longer than a call takes to be where a test wants it, unless the machine is slow.
DEADLINE_S = 1.0


async def client_leaves(serving: Serving, call: Any) -> None:
    call.cancel()


async def deadline_passes(serving: Serving, call: Any) -> None:
    assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def aborted(serving: Serving, call: Any) -> None:
    serving.running.abort("default", REQUEST_ID)
    last: GenerateResponse = (await rest_of(call))[-1]
    assert last.finished.finish_reason == FINISH_REASON_ABORTED


WAYS: tuple[Callable[[Serving, Any], Awaitable[None]], ...] = (
    client_leaves,
    deadline_passes,
    aborted,
)


async def call_to_end(
    serving: Serving,
    way: object,
    request: GenerateRequest,
    arrived: Callable[[Any], Awaitable[object]],
) -> Any:
    """Begin a call that can be ended this way, and have it arrive where it is to end.

    One whose deadline passes before that is begun again with a longer one.
    """
    if way is not deadline_passes:
        named = GenerateRequest()
        named.CopyFrom(request)
        named.request_id = REQUEST_ID
        call = serving.stub.Generate(named)
        await during(call, arrived(call))
        return call
    others = len(serving.running)
    for deadline_s in longer_each_time(DEADLINE_S):
        call = serving.stub.Generate(request, timeout=deadline_s)
        try:
            await during(call, arrived(call))
            break
        except (EndedBeforeError, grpc.aio.AioRpcError):
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await until(lambda: len(serving.running) == others, "it has ended here too")
    return call


async def has_begun(call: Any) -> None:
    """Its first token is there."""
    assert (await call.read()).HasField("started")
    assert (await call.read()).HasField("text_delta")
