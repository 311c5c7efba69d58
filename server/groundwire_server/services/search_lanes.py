"""Searches that wait for a thread are answered together.

A search that finds a thread free is begun at once. Those that come while all are busy share
the next one: one snapshot, one pass over the vectors, one reading of records. So no search
waits for others to come, and many at once cost less than each alone.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias
from weakref import WeakKeyDictionary

from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire_index.backend import CollectionBackend

from groundwire_server.blocking import run_blocking
from groundwire_server.services.reads import search_together
from groundwire_server.services.search import Search

# Of one collection. More than one, so that a slow search holds up nobody.
_AT_ONCE = max(2, min(4, os.cpu_count() or 1))
_MOST = 64

Answer: TypeAlias = "asyncio.Future[pb.SearchResponse]"


class SearchLanes:
    """One lane for each collection that is searched. Used on one event loop."""

    def __init__(self) -> None:
        self._lanes: WeakKeyDictionary[CollectionBackend, _Lane] = WeakKeyDictionary()

    async def search(self, collection: CollectionBackend, asked: Search) -> pb.SearchResponse:
        """Answer one search; raises what is wrong with it, whoever it shared a thread with."""
        lane = self._lanes.get(collection)
        if lane is None:
            lane = self._lanes[collection] = _Lane()
        return await lane.search(collection, asked)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    asked: Search
    answer: Answer


class _Lane:
    """The searches of one collection."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._workers: set[asyncio.Task[None]] = set()

    async def search(self, collection: CollectionBackend, asked: Search) -> pb.SearchResponse:
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(asked, answer))
        if len(self._workers) < _AT_ONCE:
            worker = asyncio.create_task(self._work(collection))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await answer

    async def _work(self, collection: CollectionBackend) -> None:
        while together := self._take():
            try:
                answers = await run_blocking(
                    search_together, collection, [one.asked for one in together]
                )
            except Exception as error:  # noqa: BLE001 - each caller raises it
                answers = [error] * len(together)
            for one, answer in zip(together, answers, strict=True):
                _settle(one.answer, answer)

    def _take(self) -> list[_Waiting]:
        """Those that wait, without those whose callers have gone."""
        taken: list[_Waiting] = []
        while self._waiting and len(taken) < _MOST:
            one = self._waiting.popleft()
            if not one.answer.cancelled():
                taken.append(one)
        return taken


def _settle(answer: Answer, result: pb.SearchResponse | Exception) -> None:
    if answer.cancelled():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
