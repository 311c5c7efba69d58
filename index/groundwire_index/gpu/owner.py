"""The thread that alone talks to one GPU, and joins the searches that wait for it.

While one search runs on the GPU others arrive; when it is done, those of the same index and filter
become one search. Nothing waits for company.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, groupby, pairwise
from typing import Any, TypeVar

import numpy as np

from groundwire_index.ann import Asked, Bitmap
from groundwire_index.gpu.device import Copy, Device, DeviceError, Found, Reason

_T = TypeVar("_T")

# Queries of one search on the GPU at most: it is busy with fewer.
_MOST_ROWS = 4096
# A search takes milliseconds. A GPU that takes so many seconds will not answer.
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    work: Callable[[Device], Any]
    answer: Future[Any] = field(default_factory=Future)


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    copy: Copy
    asked: Asked
    allowed: Bitmap | None
    answer: Future[Found] = field(default_factory=Future)

    @property
    def shared(self) -> tuple[int, int, int]:
        """What searches have in common that can be one."""
        return id(self.copy), id(self.allowed), self.asked.effort


class Owner:
    """Does what others ask of one GPU. Thread-safe.

    The thread begins with the first thing to do. A GPU that has failed other than for want of
    memory, or that does not answer, is left alone from then on: CUDA does not recover, and can take
    the process with it.
    """

    def __init__(
        self, name: str, make: Callable[[], Device], patience_s: float = PATIENCE_S
    ) -> None:
        self._name = name
        self._make = make
        self._patience = patience_s
        self._changed = threading.Condition()
        self._calls: list[_Call] = []
        self._searches: list[_Search] = []
        self._in_call = False
        self._thread: threading.Thread | None = None
        self._over: DeviceError | None = None

    def search(self, copy: Copy, asked: Asked, allowed: Bitmap | None) -> Found:
        """What the copy finds. Raises DeviceError, also while the thread does something else."""
        search = _Search(copy, asked, allowed)
        with self._changed:
            if self._over is None and (self._in_call or self._calls):
                raise DeviceError(Reason.LOADING, "the GPU is taking in another index")
            self._submit(self._searches, search)
        try:
            return search.answer.result(self._patience)
        except TimeoutError:
            hung = DeviceError(Reason.FAILED, f"no answer within {self._patience:g} s")
            self._end(hung)
            raise hung from None

    def call(self, work: Callable[[Device], _T]) -> Future[_T]:
        """Have something done by the thread."""
        call = _Call(work)
        with self._changed:
            self._submit(self._calls, call)
        return call.answer

    def close(self) -> None:
        """Let the GPU go, after what it is doing; what waits gets DeviceError."""
        self._end(DeviceError(Reason.CLOSING, "the index is being closed"))
        if self._thread is not None:
            self._thread.join(self._patience)

    def _submit(self, queue: list[Any], job: _Call | _Search) -> None:
        if self._over is not None:
            job.answer.set_exception(self._over.again())
            return
        queue.append(job)
        self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _end(self, error: DeviceError) -> None:
        with self._changed:
            self._over = self._over or error
            waiting: list[_Call | _Search] = [*self._calls, *self._searches]
            self._calls.clear()
            self._searches.clear()
            self._changed.notify()
        for job in waiting:
            job.answer.set_exception(error.again())

    def _run(self) -> None:
        try:
            device = self._make()
        except DeviceError as error:
            self._end(error)
            return
        while self._over is None:
            calls, searches = self._next()
            for call in calls:
                self._answer([call], partial(_called, call, device))
            self._in_call = False
            for alike in _joined(searches):
                self._answer(alike, partial(_searched, alike))

    def _next(self) -> tuple[list[_Call], list[_Search]]:
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._searches or self._over)
            calls, searches = list(self._calls), list(self._searches)
            self._calls.clear()
            self._searches.clear()
            self._in_call = bool(calls)
            return calls, searches

    def _answer(self, jobs: Sequence[_Call | _Search], work: Callable[[], Sequence[Any]]) -> None:
        try:
            if self._over is not None:
                raise self._over.again()
            results = work()
        except DeviceError as error:
            if error.reason is Reason.FAILED:
                self._end(error)
            for job in jobs:
                job.answer.set_exception(error.again())
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
            for job in jobs:
                job.answer.set_exception(error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.answer.set_result(result)


def _called(call: _Call, device: Device) -> list[Any]:
    return [call.work(device)]


def _joined(searches: list[_Search]) -> Iterator[list[_Search]]:
    """Those that can be one search, of no more queries than are worth it."""
    searches.sort(key=lambda search: search.shared)
    for _, alike in groupby(searches, key=lambda search: search.shared):
        batch: list[_Search] = []
        for search in alike:
            if batch and sum(len(one.asked.points) for one in [*batch, search]) > _MOST_ROWS:
                yield batch
                batch = []
            batch.append(search)
        yield batch


def _searched(searches: Sequence[_Search]) -> list[Found]:
    first, asked = searches[0], [search.asked for search in searches]
    points = asked[0].points if len(asked) == 1 else np.concatenate([one.points for one in asked])
    count = max(one.count for one in asked)
    found = first.copy.search(Asked(points, count, first.asked.effort), first.allowed)
    ends = list(accumulate((len(one.points) for one in asked), initial=0))
    return [
        Found(found.distances[start:stop, : one.count], found.positions[start:stop, : one.count])
        for one, (start, stop) in zip(asked, pairwise(ends), strict=True)
    ]
