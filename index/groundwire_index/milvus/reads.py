"""What is asked of a collection in Milvus; see `groundwire_index.backend` for what holds."""

from __future__ import annotations

from collections.abc import Sequence

from groundwire_index.checks import (
    MAX_PAGE,
    check_id,
    check_ids,
    check_query,
    check_range,
    check_sequence,
    require,
)
from groundwire_index.filters import Filter
from groundwire_index.milvus.expressions import expression_of
from groundwire_index.milvus.link import MilvusLink
from groundwire_index.milvus.rows import (
    document_key,
    document_of,
    fields_of,
    record_key,
    record_of,
)
from groundwire_index.milvus.schema import BODY, DOCUMENTS, KEY, RECORDS, STATE
from groundwire_index.milvus.scroll import newest_page, scroll_page
from groundwire_index.milvus.search import require_supported, search
from groundwire_index.milvus.writer import Writer
from groundwire_index.reads import ALL_BUT_VECTOR
from groundwire_index.records import (
    CollectionSpec,
    Count,
    Document,
    Include,
    Record,
    ScrollPage,
    SearchQuery,
    SearchResult,
    Vector,
)
from groundwire_index.refusals import required_vector

_VECTOR_ONLY = Include(text=False, metadata=False, vector=True)


class MilvusReads:
    """The reads of a collection."""

    def __init__(self, link: MilvusLink, name: str, spec: CollectionSpec, writer: Writer) -> None:
        """``name`` is that in Milvus."""
        self.spec = spec
        self._link = link
        self._name = name
        self._writer = writer

    # --- records ---

    def get(self, ids: Sequence[str], include: Include = ALL_BUT_VECTOR) -> list[Record | None]:
        """Records in the order of ``ids``, at most 10,000; None where there is none."""
        check_ids(ids)
        keys = list(map(record_key, ids))
        with self._writer.reading():
            found = self._link.rows(self._name, list(dict.fromkeys(keys)), fields_of(include))
        records = {key: record_of(row, include) for key, row in found.items() if row[STATE] > 0}
        return [records.get(key) for key in keys]

    def vector_of(self, record_id: str) -> Vector:
        """The vector of one record. Raises NotFoundError, or FailedPreconditionError."""
        (record,) = self.get([record_id], _VECTOR_ONLY)
        return required_vector(record, record_id, self.spec.name)

    def count(self, where: Filter | None = None) -> Count:
        """How many records match; all of them without a filter."""
        expression = expression_of(where)
        with self._writer.reading() as head:
            count = self._link.count(self._name, f"{RECORDS} and {expression}")
            return Count(count, head.sequence)

    def scroll(
        self,
        where: Filter | None = None,
        *,
        cursor: str = "",
        limit: int = 100,
        include: Include = ALL_BUT_VECTOR,
    ) -> ScrollPage:
        """Read every record that matches, in order of first insertion; see `scroll_page`."""
        check_range(limit, "limit", 1, MAX_PAGE)
        expression = expression_of(where)
        with self._writer.reading() as head:
            return scroll_page(self._link, self._name, head, expression, cursor, limit, include)

    def newest(
        self,
        where: Filter | None = None,
        *,
        cursor: str = "",
        limit: int = 100,
        include: Include = ALL_BUT_VECTOR,
    ) -> ScrollPage:
        """Read every record that matches, the last inserted first; see `newest_page`."""
        check_range(limit, "limit", 1, MAX_PAGE)
        expression = expression_of(where)
        with self._writer.reading() as head:
            return newest_page(self._link, self._name, head, expression, cursor, limit, include)

    # --- searches ---

    def search(self, query: SearchQuery) -> SearchResult:
        """The best records for one query."""
        (result,) = self.search_many([query])
        return result

    def search_many(self, queries: Sequence[SearchQuery]) -> list[SearchResult]:
        """Answer queries in order, all from one state; UnsupportedError for other than dense."""
        checked = [check_query(query, self.spec.metric, self.spec.dimension) for query in queries]
        for query in checked:
            require_supported(query, self.spec)
        with self._writer.reading() as head:
            return search(self._link, self._name, checked, self.spec, head.sequence)

    def wait_for(self, sequence: int, timeout_s: float) -> None:  # noqa: ARG002 - see below
        """Check the number: a write is visible here before its number is given out."""
        with self._writer.reading() as head:
            check_sequence(sequence, head.sequence)

    # --- documents ---

    def document(self, document_id: str) -> Document | None:
        """A document at its current version."""
        check_id(document_id, "document_id")
        key = document_key(document_id)
        with self._writer.reading():
            row = self._link.rows(self._name, [key], (BODY, STATE)).get(key)
        return None if row is None or row[STATE] < 0 else document_of(row)

    def list_documents(self, *, after: str = "", limit: int = 100) -> list[Document]:
        """The first ``limit`` documents whose ids come after ``after``, in order of id."""
        require(limit >= 1, "limit", "must be at least 1")
        where = f'{DOCUMENTS} and {KEY} > "{document_key(after)}"'
        with self._writer.reading():
            rows = self._link.in_order(self._name, where, (BODY,), limit)
        return [document_of(row) for row in rows]
