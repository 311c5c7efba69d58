"""One answer for all who ask for it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager

from groundwire_server.grounding.events import AnswerEvent, CacheOutcome


class Flight:
    """The events of an answer, as far as they are there; each reader has all of them.

    They are made by a task of its own, which goes on as long as anybody reads.
    """

    def __init__(self, fly: Callable[[Flight], Coroutine[object, object, None]]) -> None:
        """Begin; ``fly`` makes the events, calls `land` after the last, and may do more then."""
        self.outcome: CacheOutcome | None = None
        """Where the answer is from; set before its first event."""
        self.events: list[AnswerEvent] = []
        self.readers = 0
        self._changed = asyncio.Event()
        self.has_landed = False
        """Whether every event is there."""
        self.task = asyncio.create_task(fly(self))
        self.task.add_done_callback(self._tell)

    def add(self, event: AnswerEvent) -> None:
        """Give everybody one more event."""
        self.events.append(event)
        self._tell()

    def land(self) -> None:
        """There are no more."""
        self.has_landed = True
        self._tell()

    async def read(self) -> AsyncGenerator[AnswerEvent, None]:
        """All events, from the first. Raises what making them has raised."""
        at = 0
        while True:
            changed = self._changed
            while at < len(self.events):
                yield self.events[at]
                at += 1
            if self.has_landed:
                return
            if self.task.done():
                self.task.result()
                return
            await changed.wait()

    async def leave(self) -> None:
        """Be no reader any more. The last one ends what is not there yet, and waits for the end."""
        self.readers -= 1
        if self.readers:
            return
        if not self.has_landed:
            self.task.cancel()
        await asyncio.wait({self.task})
        if not self.task.cancelled():
            # Retrieved, so that what every reader was told is not reported again.
            self.task.exception()

    def _tell(self, _: object = None) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Flights:
    """The answers that are being made, by name. For one event loop, not for threads."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    @asynccontextmanager
    async def joined(
        self,
        key: Hashable,
        fly: Callable[[Flight], Coroutine[object, object, None]],
    ) -> AsyncIterator[tuple[Flight, bool]]:
        """Read along with the answer of this name, or have it made; whether it was there."""
        flight = self._flights.get(key)
        was_there = flight is not None
        if flight is None:
            flight = self._flights[key] = Flight(fly)
            flight.task.add_done_callback(lambda _: self._forget(key, flight))
        flight.readers += 1
        try:
            yield flight, was_there
        finally:
            if flight.readers == 1 and not flight.has_landed:
                # Nobody may join what is about to be ended.
                self._forget(key, flight)
            await flight.leave()

    def _forget(self, key: Hashable, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
