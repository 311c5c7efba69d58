"""Builds the approximate indexes of one collection, beside its searches and writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from groundwire_index.ann import families, kind_for
from groundwire_index.ann.choice import FLAT_BELOW
from groundwire_index.anns import AnnFiles, drop_entries, write_entry
from groundwire_index.coverage import LEAST, AnnEntry, Span, Task, next_task
from groundwire_index.gpu import Gpus
from groundwire_index.half import widened
from groundwire_index.published import View
from groundwire_index.records import CollectionSpec
from groundwire_index.space import Space
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.segment_file import Matrix
from groundwire_index.transaction import Transaction
from groundwire_index.writer import Writer


class AnnBuilder:
    """Builds what is due, one index at a time. Used by one thread at a time."""

    def __init__(self, spec: CollectionSpec, files: AnnFiles, writer: Writer, gpus: Gpus) -> None:
        self.spec = spec
        """What to build; indexes that are otherwise are built anew, and serve until then."""
        self._families = families(gpus.link, gpus.train)
        self._files = files
        self._writer = writer
        self._building = threading.Lock()
        self._number = 0

    def is_due(self, view: View) -> bool:
        """Whether there is an index to build. Quick."""
        return self._due(view) is not None

    def build_next(self, cancelled: Callable[[], bool]) -> bool:
        """Build the next index that is due; whether there was one.

        Raises BuildCancelledError soon after ``cancelled`` says so, and what the storage raises.
        Nothing is left then.
        """
        with self._building:
            return self._build_next(cancelled)

    def _build_next(self, cancelled: Callable[[], bool]) -> bool:
        view = self._writer.latest()
        task = self._due(view)
        if task is None:
            return False
        # One that could not be opened may still be in the manifest.
        self._number = 1 + max(self._number, *(ann.entry.number for ann in view.anns), 0)
        adopted = False
        try:
            built = self._built(view, task, cancelled) if task.spans else None
            self._writer.write(Adopt(built, task.absorbed))
            adopted = True
        finally:
            if not adopted:
                self._files.discard(self._number)
        return True

    def _built(self, view: View, task: Task, cancelled: Callable[[], bool]) -> AnnEntry:
        spec = self.spec
        kind, parameters = self._kind(view, task), spec.index_parameters
        path = self._files.unfinished(self._number)
        with storage_errors(path):
            path.unlink(missing_ok=True)
            vectors = SpanVectors(view.space, task.spans)
            self._families[kind].build(
                vectors,
                spec.metric,
                parameters,
                path,
                # Another one is wanted by now: it has been submitted.
                lambda: cancelled() or self.spec is not spec,
            )
            size, checksum = self._files.keep(self._number)
        return AnnEntry(self._number, kind, task.spans, parameters, size, checksum)

    def _due(self, view: View) -> Task | None:
        slots = {segment.number: len(segment.rows) for segment in view.space.segments}
        entries = [ann.entry for ann in view.anns]
        outdated = tuple(entry.number for entry in entries if not self._fits(entry))
        task = next_task(slots, entries, LEAST, outdated)
        if task is not None and self._kind(view, task) == "flat":
            return Task((), outdated) if outdated else None
        return task

    def _fits(self, entry: AnnEntry) -> bool:
        kind = self.spec.index_kind
        if kind == "auto":
            kind = kind_for(max(entry.size, FLAT_BELOW))
        return entry.kind == kind and entry.parameters == self.spec.index_parameters

    def _kind(self, view: View, task: Task) -> str:
        if self.spec.index_kind != "auto":
            return self.spec.index_kind
        # What comes later to a collection that is indexed is worth an index when it is small.
        places = len(view.space)
        return kind_for(task.size if places < FLAT_BELOW else max(task.size, FLAT_BELOW))


@dataclass(frozen=True, slots=True)
class Adopt:
    """An index that has been built comes into use, in place of others; or these just go."""

    entry: AnnEntry | None
    replaced: tuple[int, ...]

    def __call__(self, transaction: Transaction) -> None:
        """No search finds anything else than before, so it has no sequence number."""
        drop_entries(transaction.connection, self.replaced)
        if self.entry is not None:
            write_entry(transaction.connection, self.entry)
        transaction.new_anns = True


class SpanVectors:
    """The vectors of some spans, side by side, read from the mapped files."""

    def __init__(self, space: Space, spans: tuple[Span, ...]) -> None:
        segments = {segment.number: segment for segment in space.segments}
        self._parts = [segments[span.segment].vectors[span.start : span.stop] for span in spans]
        sizes = [len(part) for part in self._parts]
        self._starts = list(accumulate(sizes, initial=0))

    @property
    def count(self) -> int:
        """How many there are."""
        return self._starts[-1]

    @property
    def dimension(self) -> int:
        """Numbers in each."""
        return int(self._parts[0].shape[1])

    def read(self, start: int, stop: int) -> Matrix:
        """Vectors ``start`` to ``stop`` (without it), shape (stop - start, dimension)."""
        pieces = [
            part[max(0, start - first) : stop - first]
            for part, first in zip(self._parts, self._starts[:-1], strict=True)
            if first < stop and start < first + len(part)
        ]
        vectors = widened(pieces[0] if len(pieces) == 1 else np.concatenate(pieces))
        # Slots that do not count may hold anything.
        return vectors if np.isfinite(vectors).all() else np.nan_to_num(vectors)
