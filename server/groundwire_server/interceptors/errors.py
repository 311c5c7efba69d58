"""Ends a failed call with the status of its error."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any, NoReturn

import grpc
from groundwire_index.errors import GroundwireError

from groundwire_server.deadline import is_past_deadline
from groundwire_server.errors import Status, internal_status, status, status_of
from groundwire_server.interceptors.method import Call, Context, Method
from groundwire_server.slow_reader import SlowReaderError

log = logging.getLogger(__name__)


def errors(method: Method, call: Call) -> Call:
    """Turn exceptions into statuses; what was not raised on purpose is logged and hidden."""

    async def reporting(request: Any, context: Context) -> Any:
        try:
            return await call(request, context)
        except (grpc.aio.AbortError, grpc.aio.InternalError):
            # The status has been sent; or the client has gone, and nobody is left to be told.
            raise
        except SlowReaderError as error:
            await _leave_word(context, status_of(error))
        except GroundwireError as error:
            await _end(context, status_of(error))
        except TimeoutError:
            if not is_past_deadline(context):
                await _end(context, _incident(method))
            await _end(context, _DEADLINE_EXCEEDED)
        except Exception:  # noqa: BLE001 - the boundary: what is not expected ends the call
            await _end(context, _incident(method))

    return reporting


def _incident(method: Method) -> Status:
    """Log the exception being handled under an id that the client is given."""
    incident = secrets.token_hex(4)
    log.exception("%s failed: incident %s", method.path, incident, extra={"incident": incident})
    return internal_status(incident)


async def _end(context: Context, end: Status) -> NoReturn:
    await context.abort(end.code, end.message, end.trailers)


async def _leave_word(context: Context, end: Status) -> NoReturn:
    """Send a status that comes after what the client has not read, if it ever reads that.

    The call is over for this server, as if the client had left.
    """
    try:
        async with asyncio.timeout(0):
            await _end(context, end)
    except TimeoutError:
        raise asyncio.CancelledError from None


_DEADLINE_EXCEEDED = status(
    grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the call was done", ()
)
