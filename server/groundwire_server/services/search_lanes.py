"""Searches that wait for a thread are answered together.

A search that finds nobody at work is begun at once. Those that come meanwhile share what
follows: one snapshot, one pass over the vectors, one reading of records. So many at once cost
less than each alone, the more so as threads of Python mostly wait for one another. Who waits
long waits for a slow search: then another thread takes what waits.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakKeyDictionary

from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_index.backend import CollectionBackend

from groundwire_server.services.reads import search_together
from groundwire_server.services.search import Search

# Threads that search one collection.
_AT_ONCE = max(2, min(4, os.cpu_count() or 1))
# Longer than some dozens of quick searches take.
_PATIENCE_S = 0.02
_MOST = 64

Answer: TypeAlias = "asyncio.Future[pb.SearchResponse]"
Answers: TypeAlias = "Sequence[pb.SearchResponse | Exception]"


class SearchLanes:
    """One lane for each collection that is searched. Used on one event loop."""

    def __init__(self) -> None:
        # Of their own: whatever else is done in threads neither waits for searches nor delays them.
        self._threads = ThreadPoolExecutor(thread_name_prefix="search")
        # One is there from the start: it comes to all that is asked for, should there be no more.
        self._threads.submit(lambda: None)
        self._lanes: WeakKeyDictionary[CollectionBackend, _Lane] = WeakKeyDictionary()

    async def search(self, collection: CollectionBackend, asked: Search) -> pb.SearchResponse:
        """Answer one search; raises what is wrong with it, whoever it shared a thread with."""
        lane = self._lanes.get(collection)
        if lane is None:
            lane = self._lanes[collection] = _Lane(self._threads)
        return await lane.search(collection, asked)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    asked: Search
    answer: Answer


class _Lane:
    """The searches of one collection. Its threads take from what waits, the loop settles."""

    def __init__(self, threads: Executor) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = threads
        self._waiting: deque[_Waiting] = deque()
        self._working = 0
        self._patience: asyncio.TimerHandle | None = None

    async def search(self, collection: CollectionBackend, asked: Search) -> pb.SearchResponse:
        answer: Answer = self._loop.create_future()
        self._waiting.append(_Waiting(asked, answer))
        if not self._working:
            self._start(collection)
        elif self._patience is None and self._working < _AT_ONCE:
            self._patience = self._loop.call_later(_PATIENCE_S, self._lose_patience, collection)
        return await answer

    def _lose_patience(self, collection: CollectionBackend) -> None:
        self._patience = None
        if self._waiting:
            self._start(collection)

    def _start(self, collection: CollectionBackend) -> None:
        self._working += 1
        # It is in line even if the system has no thread for it.
        with suppress(RuntimeError):
            self._threads.submit(self._work, collection)

    def _work(self, collection: CollectionBackend) -> None:
        """In a thread: answer what waits, once."""
        together = self._take()
        answers = _answers(collection, [one.asked for one in together]) if together else ()
        self._loop.call_soon_threadsafe(self._done, collection, together, answers)

    def _done(
        self, collection: CollectionBackend, together: Sequence[_Waiting], answers: Answers
    ) -> None:
        self._working -= 1
        if self._waiting:
            self._start(collection)
        _settle(together, answers)

    def _take(self) -> list[_Waiting]:
        """Those that wait, without those whose callers have gone."""
        taken: list[_Waiting] = []
        while len(taken) < _MOST:
            try:
                one = self._waiting.popleft()
            except IndexError:  # Another thread may have taken the last.
                break
            if not one.answer.cancelled():
                taken.append(one)
        return taken


def _answers(collection: CollectionBackend, asked: Sequence[Search]) -> Answers:
    try:
        return search_together(collection, asked)
    except Exception as error:  # noqa: BLE001 - each caller raises it
        return [error] * len(asked)


def _settle(together: Sequence[_Waiting], results: Answers) -> None:
    for one, result in zip(together, results, strict=True):
        if one.answer.cancelled():
            continue
        if isinstance(result, Exception):
            one.answer.set_exception(result)
        else:
            one.answer.set_result(result)
