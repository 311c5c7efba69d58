"""The three ways in which a generation ends before its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from groundwire.v1.generate_service_pb2 import GenerateRequest, GenerateResponse
from groundwire.v1.generation_pb2 import FINISH_REASON_ABORTED

from tests.e2e.generate.serving import Serving, rest_of

REQUEST_ID = "r-1"
# Far longer than a call takes to be where a test wants it.
DEADLINE_S = 2.0


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


def call_to_end(serving: Serving, way: object, request: GenerateRequest) -> Any:
    """Begin a call that can be ended this way."""
    named = GenerateRequest()
    named.CopyFrom(request)
    named.request_id = REQUEST_ID
    return serving.stub.Generate(named, timeout=DEADLINE_S if way is deadline_passes else None)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; fail if it does not come to."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.001)
