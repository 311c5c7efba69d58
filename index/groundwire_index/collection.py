"""One collection: writes that are durable when acknowledged, and consistent reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from groundwire_index.backup.copying import copy_collection
from groundwire_index.catalog import Entry
from groundwire_index.checks import MAX_IDS, check_count, check_id, check_ids, check_key
from groundwire_index.collection_store import CollectionStore
from groundwire_index.description import describe
from groundwire_index.documents import check_document
from groundwire_index.encoding import Batch, encode_batch
from groundwire_index.errors import GroundwireError
from groundwire_index.filter_checks import require_condition
from groundwire_index.filter_sql import compile_filter
from groundwire_index.filters import Filter
from groundwire_index.reads import Reads
from groundwire_index.records import (
    CollectionInfo,
    CollectionSpec,
    CollectionState,
    Document,
    DocumentWrite,
    Record,
    WriteResult,
)
from groundwire_index.upkeep import Upkeep
from groundwire_index.writes import (
    DeleteDocument,
    DeleteIds,
    DeleteMatching,
    ReplaceDocument,
    Upsert,
)


class Collection(Reads):
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
        store: CollectionStore,
        entry: Entry,
        aliases: Callable[[], tuple[str, ...]],
        upkeep: Upkeep,
    ) -> None:
        super().__init__(store, entry.spec, upkeep)
        self._create_time = entry.created
        self._aliases = aliases

    def info(self) -> CollectionInfo:
        """Sizes, state and sequence number; cheap."""
        with self._store.snapshot() as snapshot:
            info = describe(snapshot, self.spec, self._create_time, self._aliases())
        damaged = self._store.damage is not None
        return replace(info, state=CollectionState.DAMAGED) if damaged else info

    def change(self, spec: CollectionSpec) -> None:
        """Have another description or index configuration, as `Index.update_collection` says."""
        self.spec = spec
        self.upkeep.change(spec)

    def copy_to(self, folder: Path) -> None:
        """Put a copy as of one write into an empty folder, while reads and writes go on."""
        if self._store.damage is not None:
            raise self._store.damage
        with self.upkeep.paused(), self._store.snapshot() as snapshot:
            copy_collection(snapshot, folder)

    def close(self, error: GroundwireError) -> None:
        """Finish the writes in progress; what comes later raises ``error``."""
        self._store.close(error)

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
        return self._store.write_once(idempotency_key, request_digest or write.digest, write)

    def delete_ids(self, ids: Sequence[str], *, idempotency_key: str = "") -> WriteResult:
        """Delete records by id, at most 10,000; ids that there are not are no error."""
        check_key(idempotency_key)
        check_ids(ids, low=0)
        write = DeleteIds(tuple(ids))
        return self._store.write_once(idempotency_key, write.digest, write)

    def delete_filter(self, where: Filter, *, idempotency_key: str = "") -> WriteResult:
        """Delete the records that match a filter with at least one condition."""
        check_key(idempotency_key)
        compiled = compile_filter(where)
        require_condition(where)
        write = DeleteMatching(compiled)
        return self._store.write_once(idempotency_key, write.digest, write)

    # --- documents ---

    def replace_document(self, document: Document, records: Sequence[Record]) -> DocumentWrite:
        """Store a document and all its chunks in place of those of its former version.

        Version, chunk count and time are set here. The records' ``document_id`` is the
        document's, or empty. Chunks and vectors are counted before the write is committed, so
        a search sees the old version or the whole new one. Raises AlreadyExistsError if a
        record of another document has the id of a chunk.
        """
        check_document(document)
        batch = self._encode(records, document.id)
        return self._store.write(ReplaceDocument(document, batch))

    def delete_document(self, document_id: str, *, idempotency_key: str = "") -> WriteResult:
        """Delete a document and every record that names it; the count is of the records.

        Raises NotFoundError if there is neither.
        """
        check_key(idempotency_key)
        check_id(document_id, "document_id")
        write = DeleteDocument(document_id)
        return self._store.write_once(idempotency_key, write.digest, write)

    def _encode(self, records: Sequence[Record], document_id: str = "") -> Batch:
        return encode_batch(records, self.spec, document_id)
