"""The requests that run now, so that one can be ended by its id."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from groundwire_index.errors import AlreadyExistsError, NotFoundError


class RunningRequests:
    """Ids of running requests, apart for each tenant. For one event loop, not for threads."""

    def __init__(self) -> None:
        self._aborts: dict[tuple[str, str], asyncio.Event] = {}

    def __len__(self) -> int:
        return len(self._aborts)

    @contextmanager
    def register(self, request_id: str, tenant: str) -> Iterator[asyncio.Event]:
        """Hold the id while the request runs; the event is set when it should end.

        Raises AlreadyExistsError if a request of this tenant runs under this id.
        """
        key = (tenant, request_id)
        if key in self._aborts:
            raise AlreadyExistsError(
                f'request_id "{request_id}" is running already: choose another, or leave it '
                "empty to be given one",
                reason="REQUEST_RUNNING",
                metadata={"resource_type": "request", "resource_name": request_id},
            )
        aborted = self._aborts[key] = asyncio.Event()
        try:
            yield aborted
        finally:
            del self._aborts[key]

    def abort(self, tenant: str, request_id: str) -> None:
        """Ask a running request to end. Raises NotFoundError if the tenant has none."""
        aborted = self._aborts.get((tenant, request_id))
        if aborted is None:
            raise NotFoundError(
                f'no request "{request_id}" is running',
                reason="REQUEST_NOT_RUNNING",
                metadata={"resource_type": "request", "resource_name": request_id},
            )
        aborted.set()
