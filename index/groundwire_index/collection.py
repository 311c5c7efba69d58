"""One collection: writes that are durable when acknowledged, and consistent reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from groundwire_index.ann import BuildCancelledError
from groundwire_index.ann_builder import AnnBuilder
from groundwire_index.anns import AnnFiles, Anns
from groundwire_index.backup.copying import copy_collection
from groundwire_index.checks import (
    MAX_IDS,
    MAX_PAGE,
    check_count,
    check_id,
    check_key,
    check_query,
    check_range,
    require,
)
from groundwire_index.compaction import Compactor
from groundwire_index.documents import check_document, find_document, list_documents
from groundwire_index.encoding import Batch, encode_batch
from groundwire_index.errors import (
    DataLossError,
    FailedPreconditionError,
    GroundwireError,
    NotFoundError,
    UnavailableError,
)
from groundwire_index.field_index import read_fields
from groundwire_index.field_indexer import FieldIndexer, FieldIndexing, wanted_fields
from groundwire_index.filter_checks import has_condition
from groundwire_index.filter_sql import CompiledFilter, compile_filter
from groundwire_index.filters import Filter
from groundwire_index.indexer import Indexer
from groundwire_index.match_cache import MatchCache
from groundwire_index.published import View
from groundwire_index.purge import Retention
from groundwire_index.records import (
    CollectionInfo,
    CollectionSpec,
    CollectionState,
    Count,
    Document,
    DocumentWrite,
    Include,
    Record,
    ScrollPage,
    SearchMode,
    SearchQuery,
    SearchResult,
    Vector,
    WriteResult,
)
from groundwire_index.scroll import scroll_page
from groundwire_index.search import search
from groundwire_index.segments import Files
from groundwire_index.snapshot import Snapshot
from groundwire_index.state import State, is_damaged, read_state
from groundwire_index.storage.connections import ConnectionPool, Role
from groundwire_index.storage.folders import bytes_on_disk
from groundwire_index.storage.schema import DATABASE
from groundwire_index.transaction import Transaction
from groundwire_index.writer import Writer
from groundwire_index.writes import (
    DeleteDocument,
    DeleteIds,
    DeleteMatching,
    Once,
    ReplaceDocument,
    Upsert,
)

ALL_BUT_VECTOR = Include()
_VECTOR_ONLY = Include(text=False, metadata=False, vector=True)


def _never() -> bool:
    return False


class Collection:
    """A named set of records. All methods block and are thread-safe.

    A write is all or nothing. When it returns, it is on stable storage, and every read that
    starts later sees it. A read sees the state after one write, named by its sequence number.

    Every method can raise UnavailableError or ResourceExhaustedError when the disk fails or is
    full (nothing is half done then), DataLossError when what is stored fails its checksum, and
    NotFoundError once the collection has been deleted. Writes to a damaged collection are
    DataLossError; reads serve what is sound.
    """

    def __init__(
        self,
        folder: Path,
        spec: CollectionSpec,
        create_time: datetime,
        connections: ConnectionPool,
        retention: Retention,
        segment_bytes: int,
        indexer: Indexer | None,
        field_indexing: FieldIndexing,
    ) -> None:
        self.spec = spec
        """What the collection was created with, as it is by now."""
        self.aliases: tuple[str, ...] = ()
        """Other names of it, as the index says."""
        self._folder = folder
        self._create_time = create_time
        self._connections = connections
        self._database = folder / DATABASE
        self._files = Files(folder, spec.dimension, segment_bytes)
        anns = AnnFiles(folder)
        self._writer = Writer(
            self._database,
            self._files,
            Anns(anns, spec.metric, spec.dimension),
            connections,
            retention,
            self._look_after,
        )
        self._builder = AnnBuilder(spec, anns, self._writer)
        self._compactor = Compactor(self._database, self._files, connections, self._writer)
        self._indexer = indexer
        self._fields = FieldIndexer(self._writer)
        self._field_indexing = field_indexing
        self._matches = MatchCache()
        self._closed: GroundwireError | None = None

    def info(self) -> CollectionInfo:
        """Sizes, state and sequence number; cheap."""
        with self._snapshot() as snapshot:
            state = snapshot.state
            damaged = is_damaged(snapshot.connection)
            fields = read_fields(snapshot.connection)
            disk_bytes = bytes_on_disk(self._folder)
        return CollectionInfo(
            spec=self.spec,
            records=state.records,
            vectors=state.vectors,
            documents=state.documents,
            disk_bytes=disk_bytes,
            state=CollectionState.DAMAGED if damaged else CollectionState.READY,
            sequence=state.sequence,
            create_time=self._create_time,
            indexed_fields=tuple(one.path for one in fields if not one.missing_below),
            aliases=self.aliases,
        )

    # --- records ---

    def upsert(
        self, records: Sequence[Record], *, idempotency_key: str = "", request_digest: bytes = b""
    ) -> WriteResult:
        """Write records by id: a new id is inserted, a known id is replaced whole.

        At most 10,000. If an id occurs more than once, the last occurrence counts, and the
        count is of distinct ids. With an ``idempotency_key``, which is remembered for at least
        24 hours, the same request gives the first answer again, and another one raises
        AlreadyExistsError; ``request_digest`` says what makes a request the same (by default,
        its records). Raises InvalidArgumentError with paths such as ``records[3].vector``.
        """
        check_key(idempotency_key)
        check_count(len(records), "records", MAX_IDS)
        write = Upsert(self._encode(records))
        return self._write_once(idempotency_key, request_digest or write.digest, write)

    def delete_ids(self, ids: Sequence[str], *, idempotency_key: str = "") -> WriteResult:
        """Delete records by id, at most 10,000; ids that there are not are no error."""
        check_key(idempotency_key)
        self._check_ids(ids, low=0)
        write = DeleteIds(tuple(ids))
        return self._write_once(idempotency_key, write.digest, write)

    def delete_filter(self, where: Filter, *, idempotency_key: str = "") -> WriteResult:
        """Delete the records that match a filter with at least one condition."""
        check_key(idempotency_key)
        compiled = compile_filter(where)
        require(
            has_condition(where),
            "filter",
            "has no condition: to remove everything, delete the collection",
        )
        write = DeleteMatching(compiled)
        return self._write_once(idempotency_key, write.digest, write)

    def get(self, ids: Sequence[str], include: Include = ALL_BUT_VECTOR) -> list[Record | None]:
        """Records in the order of ``ids``, at most 10,000; None where there is none."""
        self._check_ids(ids)
        with self._snapshot() as snapshot:
            found = snapshot.live_rows_of(dict.fromkeys(ids), include)
            records = snapshot.records(list(found.values()), include)
        by_id = {record.id: record for record in records}
        return [by_id.get(one) for one in ids]

    def vector_of(self, record_id: str) -> Vector:
        """The vector of one record, shape (dimension,).

        Raises NotFoundError if there is no such record, FailedPreconditionError if it has none.
        """
        (record,) = self.get([record_id], _VECTOR_ONLY)
        if record is None:
            raise NotFoundError(
                f'there is no record "{record_id}" in collection "{self.spec.name}"',
                metadata={"resource_type": "record", "resource_name": record_id},
            )
        if record.vector is None:
            raise FailedPreconditionError(
                f'record "{record_id}" has no vector: write it again with one',
                reason="RECORD_WITHOUT_VECTOR",
            )
        return record.vector

    def count(self, where: Filter | None = None) -> Count:
        """How many records match; all of them without a filter."""
        compiled = compile_filter(where)
        with self._snapshot() as snapshot:
            self._want_fields([compiled], snapshot.state)
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
        with self._snapshot() as snapshot:
            self._want_fields([compiled], snapshot.state)
            return scroll_page(snapshot, compiled, cursor, limit, include)

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
        dense = any(query.mode is not SearchMode.LEXICAL for query in checked)
        with self._snapshot(dense=dense) as snapshot:
            self._want_fields([one for one in compiled if one is not None], snapshot.state)
            pairs = list(zip(checked, compiled, strict=True))
            return search(snapshot, pairs, self.spec.metric)

    def wait_for(self, sequence: int, timeout_s: float) -> None:  # noqa: ARG002 - see below
        """Return once reads see write number ``sequence``.

        Here a write is visible before its number is given out, so nothing is ever waited for;
        replicas would. Raises InvalidArgumentError for a number that was not given out.
        """
        with self._snapshot() as snapshot:
            last = snapshot.state.sequence
        require(
            0 <= sequence <= last,
            "at_least_sequence",
            f"{sequence:,} has not been given out by this collection, which is at {last:,}",
        )

    # --- documents ---

    def document(self, document_id: str) -> Document | None:
        """A document at its current version."""
        check_id(document_id, "document_id")
        with self._snapshot() as snapshot:
            return find_document(snapshot.connection, document_id)

    def list_documents(self, *, after: str = "", limit: int = 100) -> list[Document]:
        """The first ``limit`` documents whose ids come after ``after``, in order of id."""
        require(limit >= 1, "limit", "must be at least 1")
        with self._snapshot() as snapshot:
            return list_documents(snapshot.connection, after, limit)

    def replace_document(self, document: Document, records: Sequence[Record]) -> DocumentWrite:
        """Store a document and all its chunks in place of those of its former version.

        Version, chunk count and time are set here. The records' ``document_id`` is the
        document's, or empty. Chunks and vectors are counted before the write is committed, so
        a search sees the old version or the whole new one. Raises AlreadyExistsError if a
        record of another document has the id of a chunk.
        """
        check_document(document)
        batch = self._encode(records, document.id)
        return self._writer.write(ReplaceDocument(document, batch))

    def delete_document(self, document_id: str, *, idempotency_key: str = "") -> WriteResult:
        """Delete a document and every record that names it; the count is of the records.

        Raises NotFoundError if there is neither.
        """
        check_key(idempotency_key)
        check_id(document_id, "document_id")
        write = DeleteDocument(document_id)
        return self._write_once(idempotency_key, write.digest, write)

    # --- upkeep ---

    def purge(self) -> int:
        """Remove for good what was deleted or replaced longer ago than the retention.

        Writes do this as they go; call it for collections that are not written to. Returns
        how many rows were removed.
        """
        self._compactor.tidy()
        return self._writer.purge()

    def build_index(self, cancelled: Callable[[], bool] = _never) -> bool:
        """Build the next approximate index that is due; whether there was one.

        Searches and writes go on meanwhile. Raises BuildCancelledError soon after ``cancelled``
        says so, or when the collection is closed or wants another index meanwhile.
        """
        return self._upkeep(self._builder.build_next, cancelled)

    def compact(self, cancelled: Callable[[], bool] = _never) -> bool:
        """Give back the room of what was purged, of some segments; whether there were any.

        Searches and writes go on meanwhile; otherwise as `build_index`.
        """
        return self._upkeep(self._compactor.compact_next, cancelled)

    def index_field(self, cancelled: Callable[[], bool] = _never) -> bool:
        """Index the next field that a filter has asked for; whether there was one.

        Searches and writes go on meanwhile; otherwise as `build_index`. A filter of a search,
        scroll or count asks for its fields if the collection is large enough. At most 8 of a
        collection are indexed, those that were asked for first.
        """
        return self._upkeep(self._fields.fill_next, cancelled)

    def change(self, spec: CollectionSpec) -> None:
        """Have another description or index configuration, as `Index.update_collection` says."""
        self.spec = spec
        self._builder.spec = spec

    def copy_to(self, folder: Path) -> None:
        """Put a copy as of one write into an empty folder, while reads and writes go on."""
        with self._compactor.paused(), self._snapshot() as snapshot:
            copy_collection(snapshot, folder)

    def tend(self) -> None:
        """Have what is due by now built in the background."""
        self._look_after(self._writer.latest())

    def close(self, error: GroundwireError) -> None:
        """Finish the writes in progress; what comes later raises ``error``."""
        self._closed = error
        self._writer.close(error)
        self._connections.retire(self._database)

    def _look_after(self, view: View) -> None:
        """A view has been published: is there more to index, or to compact?"""
        self._index_fields()
        if self._indexer is None:
            return
        if self._compactor.is_due(view):
            self._indexer.submit(self.compact)
        if self._builder.is_due(view):
            self._indexer.submit(self.build_index)

    def _upkeep(
        self, work: Callable[[Callable[[], bool]], bool], cancelled: Callable[[], bool]
    ) -> bool:
        if self._closed is not None:
            raise self._closed
        try:
            return work(lambda: cancelled() or self._closed is not None)
        except GroundwireError:
            if self._closed is not None:
                raise BuildCancelledError from None
            raise

    def _want_fields(self, filters: Iterable[CompiledFilter], state: State) -> None:
        if state.records < self._field_indexing.from_records:
            return
        if self._fields.want(path for one in filters for path in wanted_fields(one.where)):
            self._index_fields()

    def _index_fields(self) -> None:
        thread = self._field_indexing.thread
        if thread is not None and self._fields.is_due():
            thread.submit(self.index_field)

    @contextmanager
    def _snapshot(self, *, dense: bool = False) -> Iterator[Snapshot]:
        if self._closed is not None:
            raise self._closed
        try:
            with self._connections.lend(self._database, Role.READER) as connection:
                yield self._pinned(connection, dense=dense)
        except (DataLossError, UnavailableError):
            # Files that went away with the collection are no failure of the disk.
            if self._closed is not None:
                raise self._closed from None
            raise

    def _pinned(self, connection: sqlite3.Connection, *, dense: bool) -> Snapshot:
        while True:
            connection.execute("BEGIN")
            state = read_state(connection)
            if not dense:
                return Snapshot(connection, state, None, self._files, self._matches)
            view = self._writer.view_at(state.sequence)
            if view is not None:
                return Snapshot(connection, state, view, self._files, self._matches)
            # A write came between the two: look again.
            connection.execute("ROLLBACK")

    def _write_once(
        self,
        key: str,
        digest: bytes | Callable[[], bytes],
        write: Callable[[Transaction], WriteResult],
    ) -> WriteResult:
        if not key:
            return self._writer.write(write)
        told = digest if isinstance(digest, bytes) else digest()
        return self._writer.write(Once(key, told, write))

    def _encode(self, records: Sequence[Record], document_id: str = "") -> Batch:
        return encode_batch(
            records,
            metric=self.spec.metric,
            dimension=self.spec.dimension,
            document_id=document_id,
        )

    def _check_ids(self, ids: Sequence[str], low: int = 1) -> None:
        check_count(len(ids), "ids", MAX_IDS, low)
        for number, one in enumerate(ids):
            check_id(one, f"ids[{number}]")
