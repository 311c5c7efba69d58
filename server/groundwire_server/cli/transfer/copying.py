"""Copying a source into a collection.

Records go by id, and what is stored already and equal is left alone. Therefore a copy that was
interrupted is continued by starting it again, and a copy that is repeated compares every
record and writes nothing. No state is kept beside the collection itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

from groundwire_server.cli.transfer.opening import Opened, open_collection
from groundwire_server.cli.transfer.outcome import Outcome, Status, counted
from groundwire_server.cli.transfer.read_ahead import read_ahead
from groundwire_server.cli.transfer.rounding import as_stored
from groundwire_server.cli.transfer.sample import Sample
from groundwire_server.cli.transfer.source import Page, Placed, Refused, Source
from groundwire_server.cli.transfer.tally import Tally
from groundwire_server.cli.transfer.target import Target
from groundwire_server.cli.transfer.verification import verify

NOTHING = (
    "nothing was copied and no collection was made: there is no record to tell its dimension by"
)

Told = Callable[[Tally], None]


def copy(source: Source, target: Target, told: Told) -> Outcome:
    """Copy every record, then verify; ``told`` of the progress after each page.

    Raises TransferError if it cannot go on, and GroundwireError if the server refuses.
    """
    began = time.monotonic()
    outcome = _Copy(source, target, told).run()
    return replace(outcome, seconds=round(time.monotonic() - began, 3))


class _Copy:
    def __init__(self, source: Source, target: Target, told: Told) -> None:
        self._source = source
        self._target = target
        self._told = told
        self._tally = Tally()
        self._sample = Sample()
        self._opened: Opened | None = None

    def run(self) -> Outcome:
        with closing(read_ahead(self._source.pages())) as pages:
            for page in pages:
                self._take(page)
                self._told(self._tally)
        if self._opened is None:
            return self._nothing()
        verified = verify(
            self._source,
            self._target,
            self._tally,
            before=self._opened.collection.records,
            sample=self._sample.records,
        )
        notes = (*self._source.notes, *self._opened.notes, *self._others(self._opened))
        return counted(self._source.name, self._target.name, self._tally, verified, notes)

    def _take(self, page: Page) -> None:
        for item in page:
            if isinstance(item, Refused):
                self._tally.refuse(item)
        placed = [item for item in page if isinstance(item, Placed)]
        if not placed:
            return
        if self._opened is None:
            self._opened = open_collection(
                self._target, self._source, [item.record for item in placed]
            )
        collection = self._opened.collection
        stored = [as_stored(item, collection) for item in placed]
        for record in self._target.write(stored, self._tally):
            self._sample.add(record)

    def _nothing(self) -> Outcome:
        status: Status = "incomplete" if self._tally.refused else "empty"
        refused = tuple(self._tally.refused)
        return Outcome(
            self._source.name,
            self._target.name,
            status,
            read=self._tally.read,
            refused=refused,
            notes=(*self._source.notes, NOTHING),
        )

    def _others(self, opened: Opened) -> Iterator[str]:
        others = opened.collection.records - self._tally.replaced - self._tally.unchanged
        if others > 0:
            yield f"the collection also holds records that are not from here: {others:,}"
