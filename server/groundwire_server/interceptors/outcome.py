"""How a call ended, seen from around it."""

from __future__ import annotations

import asyncio

import grpc

from groundwire_server.deadline import is_past_deadline
from groundwire_server.interceptors.method import Context


def code_of_failure(error: BaseException, context: Context) -> grpc.StatusCode:
    """The status of a call that ended with an exception."""
    match error:
        case asyncio.CancelledError() if context.done():
            # One that was cut off because it did not read has been given a status.
            return context.code()
        case asyncio.CancelledError() if is_past_deadline(context):
            return grpc.StatusCode.DEADLINE_EXCEEDED
        case asyncio.CancelledError():
            return grpc.StatusCode.CANCELLED
        case grpc.aio.AbortError():
            return context.code()
        case _:
            return grpc.StatusCode.UNKNOWN
