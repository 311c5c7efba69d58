"""One collection in Milvus; see `groundwire_index.backend` for what holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from groundwire_index.catalog import Entry
from groundwire_index.checks import MAX_IDS, check_count, check_id, check_ids, check_key
from groundwire_index.documents import check_document
from groundwire_index.encoding import Batch, encode_batch
from groundwire_index.errors import GroundwireError
from groundwire_index.filter_checks import require_condition
from groundwire_index.filters import Filter
from groundwire_index.milvus.expressions import expression_of
from groundwire_index.milvus.link import MilvusLink
from groundwire_index.milvus.reads import MilvusReads
from groundwire_index.milvus.rows import Filler
from groundwire_index.milvus.schema import DOCUMENTS, RECORDS, VECTORS
from groundwire_index.milvus.writer import Writer
from groundwire_index.milvus.writes import (
    DeleteDocument,
    DeleteIds,
    DeleteMatching,
    Now,
    Once,
    ReplaceDocument,
    Upsert,
    Write,
    digest_of,
    require_few,
)
from groundwire_index.records import (
    CollectionInfo,
    CollectionState,
    Document,
    DocumentWrite,
    Record,
    WriteResult,
)


class MilvusCollection(MilvusReads):
    """A named set of records, as rows of one Milvus collection."""

    def __init__(
        self, link: MilvusLink, entry: Entry, aliases: Callable[[], tuple[str, ...]], now: Now
    ) -> None:
        self._filler = Filler.of(entry.spec.dimension)
        super().__init__(link, entry.folder, entry.spec, Writer(link, entry.folder, self._filler))
        self._create_time = entry.created
        self._aliases = aliases
        self._now = now

    def info(self) -> CollectionInfo:
        """Sizes and sequence number; Milvus does not tell how many bytes its files occupy."""
        with self._writer.reading() as head:
            return CollectionInfo(
                spec=self.spec,
                records=self._link.count(self._name, RECORDS),
                vectors=self._link.count(self._name, VECTORS),
                documents=self._link.count(self._name, DOCUMENTS),
                disk_bytes=0,
                state=CollectionState.READY,
                sequence=head.sequence,
                create_time=self._create_time,
                aliases=self._aliases(),
            )

    # --- records ---

    def upsert(
        self, records: Sequence[Record], *, idempotency_key: str = "", request_digest: bytes = b""
    ) -> WriteResult:
        """Write records by id, at most 10,000: new ones are inserted, known ones replaced."""
        check_key(idempotency_key)
        check_count(len(records), "records", MAX_IDS)
        batch = self._encode(records)
        write = Upsert(self._filler.records(records, batch), _ids(batch))
        return self._write_once(
            idempotency_key,
            lambda: request_digest or digest_of(b"upsert", batch.digest()),
            write,
        )

    def delete_ids(self, ids: Sequence[str], *, idempotency_key: str = "") -> WriteResult:
        """Delete records by id, at most 10,000; ids that there are not are no error."""
        check_key(idempotency_key)
        check_ids(ids, low=0)
        write = DeleteIds(tuple(ids))
        return self._write_once(idempotency_key, write.digest, write)

    def delete_filter(self, where: Filter, *, idempotency_key: str = "") -> WriteResult:
        """Delete the records that match; UnsupportedError if they are 16,384 or more."""
        check_key(idempotency_key)
        expression = expression_of(where)
        require_condition(where)
        write = DeleteMatching(expression)
        return self._write_once(idempotency_key, write.digest, write)

    # --- documents ---

    def replace_document(self, document: Document, records: Sequence[Record]) -> DocumentWrite:
        """Store a document and all its chunks in place of its former version, in one write."""
        check_document(document)
        require_few(records)
        batch = self._encode(records, document.id)
        rows = self._filler.records(records, batch)
        return self._writer.write(ReplaceDocument(document, rows, _ids(batch), self._now))

    def delete_document(self, document_id: str, *, idempotency_key: str = "") -> WriteResult:
        """Delete a document and every record that names it. Raises NotFoundError."""
        check_key(idempotency_key)
        check_id(document_id, "document_id")
        write = DeleteDocument(document_id)
        return self._write_once(idempotency_key, write.digest, write)

    # --- upkeep ---

    def purge(self) -> int:
        """Remove what is dead, and answers of more than 24 hours ago; how many rows."""
        return self._writer.purge(self._now())

    def close(self, error: GroundwireError) -> None:
        """Finish what is in progress; what comes later raises ``error``."""
        self._writer.close(error)

    def _write_once(self, key: str, digest: Callable[[], bytes], write: Write) -> WriteResult:
        once = Once(key, digest(), self._now, write) if key else write
        return self._writer.write(once)

    def _encode(self, records: Sequence[Record], document_id: str = "") -> Batch:
        return encode_batch(records, self.spec, document_id)


def _ids(batch: Batch) -> tuple[str, ...]:
    return tuple(record.id for record in batch.records)
