"""Shares a model's batches between concurrent callers."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from groundwire_index.errors import UnavailableError
from numpy.typing import NDArray

from groundwire_server.embedders.embedder import Priority
from groundwire_server.embedders.encoder import Tokens
from groundwire_server.waiting import Waiting

Encode = Callable[[Sequence[Tokens]], NDArray[np.float32]]

# Batches' worth of waiting texts that are sorted by length together.
_WINDOW_BATCHES = 8
# Of so many batches one begins with what is not interactive, however much of that waits.
_LATER_TURN = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch was, once it is done."""

    texts: int
    tokens: int
    """Without padding."""
    seconds: float
    """That the model took."""
    waited_s: tuple[float, ...]
    """Seconds that each call waited of which this was the first batch."""


class Batcher:
    """One thread that runs the model, and the queue before it.

    A batch starts as soon as the model is idle, with what waits by then: nobody waits for
    company. It holds texts of similar length, at most ``batch_tokens`` tokens with padding (a
    longer text goes alone). Texts go by their callers' priority, but of eight batches one is of
    the lower ones, which take turns at it. Texts of a caller that was cancelled are dropped.
    """

    def __init__(
        self,
        encode: Encode,
        *,
        dimension: int,
        batch_tokens: int,
        on_batch: Callable[[Batch], object] = lambda _: None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """``on_batch`` is told of each batch that is done, in the thread."""
        self._encode = encode
        self._on_batch = on_batch
        self._clock = clock
        self._dimension = dimension
        self._limit = batch_tokens
        self._lanes = tuple(_Lane() for _ in Priority)
        self._turn = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="embedder", daemon=True)
        self._thread.start()

    async def run(self, texts: Sequence[Tokens], priority: Priority) -> NDArray[np.float32]:
        """Vectors of the texts, in their order, shape (texts, dimension).

        Raises what the model raised, or UnavailableError after `close`.
        """
        job = _Job(len(texts), self._dimension, self._clock())
        with self._changed:
            if self._closed:
                raise _stopped()
            self._lanes[priority].add(job, texts)
            self._changed.notify()
        try:
            return await job.result
        finally:
            job.abandoned = True

    @property
    def waiting(self) -> Waiting:
        """Callers with texts that are in no batch yet, and the tokens of these."""
        with self._changed:
            items = [item for lane in self._lanes for item in lane.items if not item.job.abandoned]
        return Waiting(len({item.job for item in items}), sum(len(item.tokens) for item in items))

    def close(self) -> None:
        """Stop after the batch that runs; those who wait get UnavailableError. Blocking."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        for lane in self._lanes:
            for item in lane.drain():
                item.job.fail(_stopped())

    def _run(self) -> None:
        while batch := self._next_batch():
            began = self._clock()
            try:
                vectors = self._encode([item.tokens for item in batch])
            except Exception as error:  # noqa: BLE001 - theirs who wait for it, whatever it is
                for item in batch:
                    item.job.fail(error)
                continue
            for item, vector in zip(batch, vectors, strict=True):
                item.job.fill(item.row, vector)
            self._on_batch(_done(batch, began, self._clock() - began))

    def _next_batch(self) -> list[_Item]:
        """Wait for work; nothing once closed."""
        with self._changed:
            while not self._closed:
                for lane in self._in_turn():
                    if batch := lane.take(self._limit):
                        return batch
                self._changed.wait()
        return []

    def _in_turn(self) -> tuple[_Lane, ...]:
        """The lanes, in the order in which they are asked for the next batch."""
        self._turn += 1
        if self._turn % _LATER_TURN:
            return self._lanes
        interactive, *later = self._lanes
        if self._turn // _LATER_TURN % 2:
            later.reverse()
        return (*later, interactive)


class _Job:
    """The texts of one call."""

    def __init__(self, count: int, dimension: int, came: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._missing = count
        self._vectors = np.empty((count, dimension), np.float32)
        self.result: asyncio.Future[NDArray[np.float32]] = self._loop.create_future()
        self.abandoned = False
        self._came: float | None = came

    def waited(self, now: float) -> float | None:
        """Seconds until now, told once."""
        came, self._came = self._came, None
        return None if came is None else now - came

    def fill(self, row: int, vector: NDArray[np.float32]) -> None:
        """Put one vector in its place, and answer the caller with the last."""
        self._vectors[row] = vector
        self._missing -= 1
        if not self._missing and not self.abandoned:
            self._loop.call_soon_threadsafe(self._answer, self._vectors)

    def fail(self, error: Exception) -> None:
        """Answer the caller with an error, once."""
        if not self.abandoned:
            self.abandoned = True
            self._loop.call_soon_threadsafe(self._answer, error)

    def _answer(self, answer: NDArray[np.float32] | Exception) -> None:
        if self.result.done():
            return
        if isinstance(answer, Exception):
            self.result.set_exception(answer)
        else:
            self.result.set_result(answer)


class _Item:
    """One text of a job."""

    __slots__ = ("job", "row", "tokens")

    def __init__(self, job: _Job, row: int, tokens: Tokens) -> None:
        self.job = job
        self.row = row
        self.tokens = tokens


class _Lane:
    """Texts that wait: in order of arrival, the oldest of them sorted by length."""

    def __init__(self) -> None:
        self._queue: deque[_Item] = deque()
        self._window: list[_Item] = []

    @property
    def items(self) -> list[_Item]:
        """Everything that waits."""
        return [*self._window, *self._queue]

    def add(self, job: _Job, texts: Sequence[Tokens]) -> None:
        self._queue.extend(_Item(job, row, tokens) for row, tokens in enumerate(texts))

    def take(self, limit: int) -> list[_Item]:
        """The next batch: the longest of the window, with as many of the next as fit."""
        while True:
            if not self._window:
                self._fill_window(limit)
            if not self._window:
                return []
            batch: list[_Item] = []
            while self._window and _fits(batch, self._window[-1].tokens, limit):
                item = self._window.pop()
                if not item.job.abandoned:
                    batch.append(item)
            if batch:
                return batch

    def drain(self) -> list[_Item]:
        """Everything that waits; nothing is left."""
        items = self.items
        self._window.clear()
        self._queue.clear()
        return items

    def _fill_window(self, limit: int) -> None:
        tokens = 0
        while self._queue and tokens < _WINDOW_BATCHES * limit:
            item = self._queue.popleft()
            tokens += len(item.tokens)
            self._window.append(item)
        self._window.sort(key=lambda item: (item.tokens.kind.value, len(item.tokens)))


def _fits(batch: list[_Item], tokens: Tokens, limit: int) -> bool:
    """Whether a batch, which begins with its longest text and is of one kind, takes another."""
    if not batch:
        return True
    longest = batch[0].tokens
    return tokens.kind is longest.kind and (len(batch) + 1) * len(longest) <= limit


def _done(batch: Sequence[_Item], began: float, seconds: float) -> Batch:
    waits = (item.job.waited(began) for item in batch)
    return Batch(
        texts=len(batch),
        tokens=sum(len(item.tokens) for item in batch),
        seconds=seconds,
        waited_s=tuple(waited for waited in waits if waited is not None),
    )


def _stopped() -> UnavailableError:
    return UnavailableError("the embedder is stopping", reason="STOPPING")
