"""Who may use a model next, and who is not even to wait.

Tenants take turns by what they use: each has a tag that grows by the tokens of whatever of its
requests begins, and the lowest tag is next (start-time fair queueing, Goyal et al. 1996). A flood
of one tenant delays itself. Within a tenant, a lower priority begins first, then who came first.

Where the queue is full, the tenant with most in it gives way to one with less.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from groundwire_index.errors import ResourceExhaustedError

from groundwire_server.waiting import Waiting

# Of the seconds a request takes, how much the last one counts.
_NEWEST = 0.1
_LONGEST_RETRY_S = 60.0
_FULL = "QUEUE_FULL"
_OUT_OF_REACH = "DEADLINE_OUT_OF_REACH"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a model takes at once, and how much may wait for it."""

    running: int
    queued: int
    queued_tokens: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request is, to the queue."""

    tenant: str
    tokens: int = 0
    """Of the prompt."""
    cost: int = 1
    """What the tenant's turn counts: tokens of prompt and answer together, about."""
    priority: int = 0
    """Lower begins first."""
    deadline: float | None = None
    """Of the event loop's clock."""


@dataclass(order=True, slots=True)
class _Place:
    priority: int
    number: int
    claim: Claim = field(compare=False)
    turn: asyncio.Future[None] = field(compare=False)


@dataclass(slots=True)
class _Line:
    """One tenant's part of the queue."""

    tag: float = 0.0
    """What its requests have cost, counted from the clock of the queue."""
    places: list[_Place] = field(default_factory=list)
    tokens: int = 0


class FairQueue:
    """The queue of one model. Used on one event loop."""

    def __init__(
        self, model: str, limits: Limits, *, now: Callable[[], float] | None = None
    ) -> None:
        """``now`` is the event loop's clock, unless it is given."""
        self._now = now or (lambda: asyncio.get_running_loop().time())
        self._model = model
        self._limits = limits
        self._lines: dict[str, _Line] = {}
        # The tag of what began last.
        self._clock = 0.0
        self._count = 0
        self._mean_s: float | None = None
        self.running = 0
        """Requests that have the model."""
        self.refusals = dict.fromkeys((_FULL, _OUT_OF_REACH), 0)
        """How many were refused, by reason."""

    @property
    def model(self) -> str:
        """Whose queue this is."""
        return self._model

    @property
    def waiting(self) -> Waiting:
        """What waits, and the tokens of its prompts."""
        lines = self._lines.values()
        return Waiting(sum(len(one.places) for one in lines), sum(one.tokens for one in lines))

    def check(self, claim: Claim) -> None:
        """Raise ResourceExhaustedError if it is known already that a claim would be refused."""
        if self.running >= self._limits.running:
            line = self._line_of(claim.tenant)
            self._require_time(line, claim)
            if self._is_full(claim) and self._giver(line, claim) is None:
                raise self._full()

    @asynccontextmanager
    async def turn(self, claim: Claim) -> AsyncGenerator[float, None]:
        """Wait for the model and have it; gives the seconds waited.

        Raises ResourceExhaustedError if there is no room to wait, or no time: at once, or later
        on if the place goes to a tenant that has less.
        """
        came = self._now()
        await self._wait(claim)
        began = self._now()
        try:
            yield began - came
            self._note(self._now() - began)
        finally:
            self._end()

    async def _wait(self, claim: Claim) -> None:
        line = self._line_of(claim.tenant)
        if self.running < self._limits.running:
            self._begin(line, claim)
            return
        self._require_time(line, claim)
        self._make_room(line, claim)
        place = self._join(line, claim)
        try:
            await place.turn
        except asyncio.CancelledError:
            if place in line.places:
                self._take(line, place)
            elif not place.turn.cancelled() and place.turn.exception() is None:
                # Its turn had come just then.
                self._end()
            raise

    def _line_of(self, tenant: str) -> _Line:
        line = self._lines.setdefault(tenant, _Line())
        if not line.places:
            line.tag = max(line.tag, self._clock)
        return line

    def _join(self, line: _Line, claim: Claim) -> _Place:
        self._count += 1
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = _Place(claim.priority, self._count, claim, turn)
        heapq.heappush(line.places, place)
        line.tokens += claim.tokens
        return place

    def _begin(self, line: _Line, claim: Claim) -> None:
        self.running += 1
        self._clock = max(self._clock, line.tag)
        line.tag += claim.cost
        self._forget()

    def _end(self) -> None:
        """One has let go of the model: the next has its turn."""
        self.running -= 1
        while waiting := [line for line in self._lines.values() if line.places]:
            line = min(waiting, key=lambda one: (one.tag, one.places[0].number))
            place = line.places[0]
            self._take(line, place)
            if not _is_left(place):
                self._begin(line, place.claim)
                place.turn.set_result(None)
                return

    def _take(self, line: _Line, place: _Place) -> None:
        line.places.remove(place)
        heapq.heapify(line.places)
        line.tokens -= place.claim.tokens

    def _forget(self) -> None:
        """Let go of the tenants that have no place and no debt."""
        self._lines = {
            tenant: line
            for tenant, line in self._lines.items()
            if line.places or line.tag > self._clock
        }

    def _require_time(self, line: _Line, claim: Claim) -> None:
        if claim.deadline is None or self._mean_s is None:
            return
        before = sum(place.priority <= claim.priority for place in line.places)
        others = (len(one.places) for one in self._lines.values() if one is not line)
        # While it waits for those before it, each other tenant has as many turns.
        ahead = before + sum(min(count, before + 1) for count in others)
        seconds = self._seconds_for(ahead + 1)
        if self._now() + seconds > claim.deadline:
            raise self._refused(
                f"it would begin in about {seconds:.1f} s, after its deadline",
                _OUT_OF_REACH,
            )

    def _make_room(self, line: _Line, claim: Claim) -> None:
        """Have room for a claim, if need be by sending away what another has too much of."""
        while self._is_full(claim):
            giver = self._giver(line, claim)
            if giver is None:
                raise self._full()
            last = max(giver.places)
            self._take(giver, last)
            if not _is_left(last):
                last.turn.set_exception(
                    self._refused("its place went to a tenant that had less", _FULL)
                )

    def _giver(self, line: _Line, claim: Claim) -> _Line | None:
        """The tenant with most in the queue, if that is more than the claim's would have."""
        fullest = max(self._lines.values(), key=lambda one: (len(one.places), one.tokens))
        with_claim = (len(line.places) + 1, line.tokens + claim.tokens)
        return fullest if (len(fullest.places), fullest.tokens) > with_claim else None

    def _is_full(self, claim: Claim) -> bool:
        waiting, limits = self.waiting, self._limits
        tokens = waiting.tokens + claim.tokens
        return waiting.requests >= limits.queued or tokens > limits.queued_tokens

    def _full(self) -> ResourceExhaustedError:
        waiting, limits = self.waiting, self._limits
        return self._refused(
            f"{waiting.requests:,} requests with {waiting.tokens:,} tokens wait, of at most "
            f"{limits.queued:,} and {limits.queued_tokens:,}",
            _FULL,
        )

    def _refused(self, why: str, reason: str) -> ResourceExhaustedError:
        self.refusals[reason] += 1
        return ResourceExhaustedError(
            f'"{self._model}" has too much to do: {why}',
            reason=reason,
            retry_after_s=min(self._seconds_for(self.waiting.requests + 1), _LONGEST_RETRY_S),
        )

    def _seconds_for(self, requests: int) -> float:
        """How long it takes until so many have ended, at the present rate."""
        return (self._mean_s or 1.0) * requests / self._limits.running

    def _note(self, seconds: float) -> None:
        mean = self._mean_s
        self._mean_s = seconds if mean is None else mean + _NEWEST * (seconds - mean)


def _is_left(place: _Place) -> bool:
    """Whether its task has been cancelled, and has not run since to take it out."""
    return place.turn.cancelled()
