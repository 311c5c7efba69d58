"""What is done to a collection beside its reads and writes, and when that is due.

What was deleted is purged, the room of it given back, and approximate indexes and indexes of
fields are built. None of it changes an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from groundwire_index.ann import BuildCancelledError
from groundwire_index.ann_builder import AnnBuilder
from groundwire_index.collection_store import CollectionStore
from groundwire_index.compaction import Compactor
from groundwire_index.errors import GroundwireError, ResourceExhaustedError
from groundwire_index.field_indexer import FROM_RECORDS, FieldIndexer, wanted_fields
from groundwire_index.filter_sql import CompiledFilter
from groundwire_index.indexer import Indexer
from groundwire_index.published import View
from groundwire_index.records import CollectionSpec
from groundwire_index.state import State
from groundwire_index.storage.room import Room


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Background:
    """The threads that look after the collections of an index; None where nobody does unasked."""

    indexer: Indexer | None
    fields: Indexer | None
    """For the indexes of fields: what takes seconds does not wait for what takes minutes."""
    index_fields_from: int = FROM_RECORDS
    """Fields of smaller collections are not indexed."""

    @classmethod
    def start(cls, index_fields_from: int) -> Background:
        """With threads, which live while there is something to do."""
        return cls(Indexer(), Indexer(), index_fields_from)

    @classmethod
    def idle(cls, index_fields_from: int) -> Background:
        """Without."""
        return cls(None, None, index_fields_from)

    def close(self) -> None:
        """Stop what is being done, soon."""
        for indexer in (self.indexer, self.fields):
            if indexer is not None:
                indexer.close()


class Upkeep:
    """Looks after one collection, in the background or when it is asked to. Thread-safe.

    What it is asked to do goes on beside searches and writes, raises BuildCancelledError soon
    after ``cancelled`` says so or the collection is closed, and otherwise what the storage
    raises; nothing is lost then, and nothing is left half done.
    """

    def __init__(
        self, store: CollectionStore, spec: CollectionSpec, background: Background
    ) -> None:
        self._store = store
        self._background = background
        self._builder = AnnBuilder(spec, store.ann_files, store.writer, store.gpus)
        self._compactor = Compactor(store.database, store.files, store.connections, store.writer)
        self._fields = FieldIndexer(store.writer)
        # Every write asks whether something is due, and what is due may be to copy a segment.
        self._room = Room(store.folder, store.files.segment_bytes // 4)
        store.writer.watch(self._look_after)

    def purge(self) -> int:
        """Remove for good what was deleted or replaced longer ago than the retention.

        Writes do this as they go; call it for collections that are not written to. Returns
        how many rows were removed.
        """
        self._compactor.tidy()
        return self._store.writer.purge()

    def build_index(self, cancelled: Callable[[], bool] = _never) -> bool:
        """Build the next approximate index that is due; whether there was one.

        It is cancelled when the collection comes to want another index meanwhile, too.
        """
        return self._attempt(self._builder.build_next, cancelled)

    def compact(self, cancelled: Callable[[], bool] = _never) -> bool:
        """Give back the room of what was purged, of some segments; whether there were any."""
        return self._attempt(self._compactor.compact_next, cancelled)

    def index_field(self, cancelled: Callable[[], bool] = _never) -> bool:
        """Index the next field that a filter has asked for; whether there was one.

        A filter of a search, scroll or count asks for its fields if the collection is large
        enough. At most 8 of a collection are indexed, those that were asked for first.
        """
        return self._attempt(self._fields.fill_next, cancelled)

    def want_fields(self, filters: Iterable[CompiledFilter], state: State) -> None:
        """A read compares the fields of these filters: have them indexed if that is worth it."""
        if state.records < self._background.index_fields_from:
            return
        if self._fields.want(path for one in filters for path in wanted_fields(one.where)):
            self._index_fields()

    def change(self, spec: CollectionSpec) -> None:
        """Have other indexes, from `tend` on."""
        self._builder.spec = spec
        self._store.copies.wanted = spec.index_kind == "flat"

    def tend(self) -> None:
        """Have what is due by now done in the background."""
        self._look_after(self._store.writer.latest())

    def paused(self) -> AbstractContextManager[None]:
        """No vector is moved and no segment removed meanwhile."""
        return self._compactor.paused()

    def _look_after(self, view: View) -> None:
        """A view has been published: is there more to index, or to compact?"""
        self._index_fields()
        indexer = self._background.indexer
        # Neither a copy nor an index takes more than all vectors do in float32.
        everything = 4 * self._store.files.dimension * len(view.space)
        if indexer is None or not self._room.is_there(everything):
            return
        if self._compactor.is_due(view):
            indexer.submit(self.compact)
        if self._builder.is_due(view):
            indexer.submit(self.build_index)

    def _index_fields(self) -> None:
        thread = self._background.fields
        if thread is not None and self._fields.is_due():
            thread.submit(self.index_field)

    def _attempt(
        self, work: Callable[[Callable[[], bool]], bool], cancelled: Callable[[], bool]
    ) -> bool:
        store = self._store
        store.require_open()
        try:
            return work(lambda: cancelled() or store.closed is not None)
        except ResourceExhaustedError:
            self._room.ran_out()
            raise
        except GroundwireError:
            if store.closed is not None:
                raise BuildCancelledError from None
            raise
