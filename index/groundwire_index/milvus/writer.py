"""Writes of a collection in Milvus, one after the other, and the state that reads see."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from groundwire_index.errors import GroundwireError, UnavailableError
from groundwire_index.milvus.draft import Draft, Head
from groundwire_index.milvus.link import MilvusLink
from groundwire_index.milvus.rows import Filler
from groundwire_index.milvus.schema import ANSWERS, BODY, DEAD, FACTS, HEAD, STATE, TIME
from groundwire_index.milvus.turns import Turns
from groundwire_index.once import REMEMBERED_S

T = TypeVar("T")


class Writer:
    """Gives reads and writes their turns, and writes their numbers.

    All rows of a write are one upsert of Milvus. Reads wait for the write before them: so each
    sees one state, whose number it knows.
    """

    def __init__(self, link: MilvusLink, name: str, filler: Filler) -> None:
        self._link = link
        self._name = name
        self._filler = filler
        self._turns = Turns()
        self._head: Head | None = None
        self._closed: GroundwireError | None = None

    @contextmanager
    def reading(self) -> Iterator[Head]:
        """The state that all reads within see."""
        with self._turns.reading():
            self._require_open()
            head = self._head or self._stored()
            self._head = head
            yield head

    def write(self, write: Callable[[Draft], T]) -> T:
        """Draft a write and do it, whole."""
        with self._turns.writing():
            self._require_open()
            draft = Draft(self._link, self._name, self._current(), self._filler)
            result = write(draft)
            if not draft.repeated:
                # Unknown until it is acknowledged: it may be done although the answer is lost.
                self._head = None
                self._link.upsert(self._name, draft.rows)
                self._head = draft.head
            return result

    def purge(self, now: float) -> int:
        """Remove dead rows, and answers that nobody asks for again; how many there were."""
        time = f'{FACTS}["{TIME}"]'
        forgotten = f"({ANSWERS} and exists {time} and {time} < {int(now - REMEMBERED_S)})"
        where = f"{STATE} == {DEAD} or {forgotten}"
        with self._turns.writing():
            self._require_open()
            count = self._link.count(self._name, where)
            if count:
                self._link.remove(self._name, where)
            return count

    def close(self, error: GroundwireError) -> None:
        """Finish what is in progress; what comes later raises ``error``."""
        with self._turns.writing():
            self._closed = error

    def _current(self) -> Head:
        stored = self._stored()
        known, self._head = self._head, stored
        if known is not None and known != stored:
            raise UnavailableError(
                "the collection was changed in Milvus by another server, or by a write whose "
                "answer was lost: retry. Only one server at a time may use a Milvus database",
                reason="CHANGED_ELSEWHERE",
            )
        return stored

    def _stored(self) -> Head:
        row = self._link.rows(self._name, [HEAD], [BODY]).get(HEAD)
        return Head() if row is None else Head(**json.loads(row[BODY]))

    def _require_open(self) -> None:
        if self._closed is not None:
            raise self._closed
