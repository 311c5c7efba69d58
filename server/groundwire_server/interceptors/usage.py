"""Counts what each caller uses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import grpc

from groundwire_server.identity import current_identity
from groundwire_server.interceptors.method import Call, Context, Method
from groundwire_server.interceptors.outcome import code_of_failure
from groundwire_server.usage.call import begin_usage
from groundwire_server.usage.ledger import Ledger

# To look at a server is no use of it.
_NOT_COUNTED = "groundwire.v1.AdminService"


class UsageCounting:
    """Records calls in the ledger. Inside of identity, and outside of admission: what that
    refuses is counted too."""

    def __init__(self, ledger: Ledger, *, clock: Callable[[], float] = perf_counter) -> None:
        self._ledger = ledger
        self._clock = clock

    def __call__(self, method: Method, call: Call) -> Call:
        """Intercept."""
        if method.service == _NOT_COUNTED:
            return call

        async def counted(request: Any, context: Context) -> Any:
            used = begin_usage()
            began = self._clock()
            code = grpc.StatusCode.OK
            try:
                return await call(request, context)
            except BaseException as error:
                code = code_of_failure(error, context)
                raise
            finally:
                # A client that streams its request takes as long as it likes.
                timed = code is grpc.StatusCode.OK and isinstance(request, bytes)
                record = partial(
                    self._ledger.record,
                    current_identity.get(),
                    used,
                    self._clock() - began if timed else None,
                    failed=code not in _NO_FAILURE,
                )
                used.end(record)

        return counted


def uncounted(_: Method, call: Call) -> Call:
    """Intercept where no usage is kept: leave the call as it is."""
    return call


_NO_FAILURE = (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED)
