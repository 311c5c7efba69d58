"""How a call to which messages are still being sent ended, on an event loop.

A server may end a call while the next message is on its way to it. The message then fails,
and grpc.aio puts "INTERNAL: Internal error from Core" in the place of the server's own
status, before or after that arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import grpc.aio

T = TypeVar("T")

SEND_FAILED = "Internal error from Core"
STATUS_DELAY_S = 10.0


async def answered(call: Any) -> AsyncIterator[Any]:
    """The responses of a call; if it fails, the error is the server's own."""
    ending = _Ending(call)
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError as error:
        raise await ending.instead_of(error) from error


class _Ending:
    """Notes the status that a call ended with, whatever is put in its place."""

    def __init__(self, call: Any) -> None:
        self._error: grpc.aio.AioRpcError | None = None
        self._known = asyncio.Event()
        call.add_done_callback(self._note)

    async def instead_of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        if error.details() == SEND_FAILED:
            with suppress(TimeoutError):
                async with asyncio.timeout(STATUS_DELAY_S):
                    await self._known.wait()
        return self._error or error

    def _note(self, call: Any) -> None:
        details = _now(call.details())
        if details != SEND_FAILED:
            self._error = grpc.aio.AioRpcError(
                _now(call.code()),
                _now(call.initial_metadata()),
                _now(call.trailing_metadata()),
                details,
                _now(call.debug_error_string()),
            )
            self._known.set()


def _now(answer: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that has nothing to wait for, as those of an ended call."""
    try:
        answer.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise RuntimeError("The call has not ended.")
