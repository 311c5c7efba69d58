"""What is asked of a collection: records, searches, documents, each from one consistent state."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from groundwire_index.checks import (
    MAX_PAGE,
    check_id,
    check_ids,
    check_query,
    check_range,
    check_sequence,
    require,
)
from groundwire_index.collection_store import CollectionStore
from groundwire_index.documents import find_document, list_documents
from groundwire_index.errors import DataLossError
from groundwire_index.filter_checks import has_condition
from groundwire_index.filter_sql import CompiledFilter, compile_filter
from groundwire_index.filters import Filter
from groundwire_index.records import (
    CollectionSpec,
    Count,
    Document,
    Include,
    Record,
    ScrollPage,
    SearchMode,
    SearchQuery,
    SearchResult,
    Vector,
)
from groundwire_index.refusals import required_vector
from groundwire_index.scroll import newest_page, scroll_page
from groundwire_index.search import search
from groundwire_index.snapshot import Snapshot
from groundwire_index.upkeep import Upkeep

ALL_BUT_VECTOR = Include()
_VECTOR_ONLY = Include(text=False, metadata=False, vector=True)


class Reads:
    """The reads of a collection. All methods block and are thread-safe.

    A read sees the state after one write, and every write that had returned when it began.
    """

    def __init__(self, store: CollectionStore, spec: CollectionSpec, upkeep: Upkeep) -> None:
        self.spec = spec
        """What the collection was created with, as it is by now."""
        self.upkeep = upkeep
        """What looks after it."""
        self._store = store

    # --- records ---

    def get(self, ids: Sequence[str], include: Include = ALL_BUT_VECTOR) -> list[Record | None]:
        """Records in the order of ``ids``, at most 10,000; None where there is none."""
        check_ids(ids)
        with self._store.snapshot() as snapshot:
            found = snapshot.live_rows_of(dict.fromkeys(ids), include)
            records = snapshot.records(list(found.values()), include)
        by_id = {record.id: record for record in records}
        return [by_id.get(one) for one in ids]

    def vector_of(self, record_id: str) -> Vector:
        """The vector of one record, shape (dimension,).

        Raises NotFoundError if there is no such record, FailedPreconditionError if it has none.
        """
        (record,) = self.get([record_id], _VECTOR_ONLY)
        return required_vector(record, record_id, self.spec.name)

    def count(self, where: Filter | None = None) -> Count:
        """How many records match; all of them without a filter."""
        compiled = compile_filter(where)
        with self._store.snapshot() as snapshot:
            self._filter(snapshot, [compiled])
            records = snapshot.state.records if where is None else len(snapshot.matching(compiled))
            return Count(records, snapshot.state.sequence)

    def scroll(
        self,
        where: Filter | None = None,
        *,
        cursor: str = "",
        limit: int = 100,
        include: Include = ALL_BUT_VECTOR,
    ) -> ScrollPage:
        """Read every record that matches, page by page, in order of first insertion.

        All pages show the state at the first one, whatever is written meanwhile. A page has at
        most ``limit`` records, 1 to 1,000, and ends early when they are large. Raises
        InvalidArgumentError for a cursor of another collection or filter, and
        FailedPreconditionError for one whose state is no longer kept.
        """
        check_range(limit, "limit", 1, MAX_PAGE)
        compiled = compile_filter(where)
        with self._store.snapshot() as snapshot:
            self._filter(snapshot, [compiled])
            return scroll_page(snapshot, compiled, cursor, limit, include)

    def newest(
        self,
        where: Filter | None = None,
        *,
        cursor: str = "",
        limit: int = 100,
        include: Include = ALL_BUT_VECTOR,
    ) -> ScrollPage:
        """Read every record that matches, page by page, the last inserted first.

        Unlike a scroll, each page shows the state of its own time, so that what has been deleted
        since the first page is in none; what has been inserted since is in none either, and none is
        in two. Otherwise as `scroll`.
        """
        check_range(limit, "limit", 1, MAX_PAGE)
        compiled = compile_filter(where)
        with self._store.snapshot() as snapshot:
            self._filter(snapshot, [compiled])
            return newest_page(snapshot, compiled, cursor, limit, include)

    # --- searches ---

    def search(self, query: SearchQuery) -> SearchResult:
        """The best records for one query, best first, equals in order of id.

        Raises InvalidArgumentError for a query that lacks what its mode needs, or whose vector
        the metric cannot compare.
        """
        (result,) = self.search_many([query])
        return result

    def search_many(self, queries: Sequence[SearchQuery]) -> list[SearchResult]:
        """Answer queries in order, all from one state, sharing passes over the vectors.

        What is wrong with a query is reported as for `search`, whichever query it is.
        """
        checked = [check_query(query, self.spec.metric, self.spec.dimension) for query in queries]
        compiled = [
            None if query.filter is None else compile_filter(query.filter) for query in checked
        ]
        pairs = list(zip(checked, compiled, strict=True))
        if all(_is_plain(query) for query in checked):
            # A row that is not found may have been purged a moment ago.
            with suppress(DataLossError), self._store.glance() as snapshot:
                return search(snapshot, pairs, self.spec.metric)
        dense = any(query.mode is not SearchMode.LEXICAL for query in checked)
        with self._store.snapshot(dense=dense) as snapshot:
            self._filter(snapshot, [one for one in compiled if one is not None])
            return search(snapshot, pairs, self.spec.metric)

    def wait_for(self, sequence: int, timeout_s: float) -> None:  # noqa: ARG002 - see below
        """Return once reads see write number ``sequence``.

        The write itself returns no sooner; only who learned of its number from another read, in
        the moment of its commit, has to wait. Raises InvalidArgumentError for a number that was
        not given out.
        """
        with self._store.snapshot(dense=True) as snapshot:
            last = snapshot.state.sequence
        check_sequence(sequence, last)

    # --- documents ---

    def document(self, document_id: str) -> Document | None:
        """A document at its current version."""
        check_id(document_id, "document_id")
        with self._store.snapshot() as snapshot:
            return find_document(snapshot.connection, document_id)

    def list_documents(self, *, after: str = "", limit: int = 100) -> list[Document]:
        """The first ``limit`` documents whose ids come after ``after``, in order of id."""
        require(limit >= 1, "limit", "must be at least 1")
        with self._store.snapshot() as snapshot:
            return list_documents(snapshot.connection, after, limit)

    def _filter(self, snapshot: Snapshot, filters: Sequence[CompiledFilter]) -> None:
        """A read is about to filter: nobody knows what a damaged record had in its fields."""
        damage = self._store.damage
        if damage is not None and any(has_condition(one.where) for one in filters):
            raise damage
        self.upkeep.want_fields(filters, snapshot.state)


def _is_plain(query: SearchQuery) -> bool:
    """Whether vectors and the rows that they lead to are all that it asks for."""
    return query.mode is SearchMode.DENSE and query.filter is None and not query.exclude_id
