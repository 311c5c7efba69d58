"""The writes that a collection knows, each done whole within a transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from groundwire_index.documents import find_document, remove_document, store_document
from groundwire_index.encoding import Batch
from groundwire_index.errors import AlreadyExistsError, DataLossError
from groundwire_index.filter_sql import CompiledFilter, Sql, digest_of
from groundwire_index.records import Document, DocumentWrite, WriteResult
from groundwire_index.refusals import no_document, record_of_another
from groundwire_index.storage.row_sums import checked_row, row_sum
from groundwire_index.transaction import LiveRow, Transaction

REMEMBERED_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Once:
    """A write that is done once for one idempotency key, however often it comes."""

    key: str
    digest: bytes
    """Equal if and only if the request is."""
    write: Callable[[Transaction], WriteResult]

    def __call__(self, transaction: Transaction) -> WriteResult:
        """Raises AlreadyExistsError if the key came with another request."""
        connection = transaction.connection
        found = connection.execute("SELECT * FROM answers WHERE key = ?", (self.key,)).fetchone()
        if found is None:
            result = self.write(transaction)
            answer = (self.key, self.digest, result.sequence, result.count, transaction.now())
            connection.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", (*answer, row_sum(*answer))
            )
            return result
        _, digest, sequence, count, _ = checked_row(found, f'the answer to key "{self.key}"')
        if digest != self.digest:
            raise AlreadyExistsError(
                f'idempotency key "{self.key}" was used for another request: use a new key',
                reason="IDEMPOTENCY_KEY_REUSED",
            )
        return WriteResult(sequence, count)


def forget_answers(transaction: Transaction) -> None:
    """Drop answers that nobody asks for again."""
    now = transaction.now()
    transaction.connection.execute("DELETE FROM answers WHERE time < ?", (now - REMEMBERED_S,))
    # The clock was set back. What seems to be of the future is counted from now on.
    early = transaction.connection.execute("SELECT * FROM answers WHERE time > ?", (now,))
    renewed = [(*checked_row(one, "an answer")[:4], now) for one in early]
    transaction.connection.executemany(
        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
        ((*one, row_sum(*one)) for one in renewed),
    )


@dataclass(frozen=True, slots=True)
class Upsert:
    """New ids are inserted, known ones replaced whole."""

    batch: Batch

    def __call__(self, transaction: Transaction) -> WriteResult:
        """The count is of distinct ids."""
        sequence = transaction.begin()
        known = transaction.live_rows_of(record.id for record in self.batch.records)
        transaction.end(known)
        transaction.insert(self.batch, _places(known))
        return WriteResult(sequence, len(self.batch.records))

    def digest(self) -> bytes:
        """Equal for equal upserts."""
        return _digest(b"upsert", self.batch.digest())


@dataclass(frozen=True, slots=True)
class DeleteIds:
    """Records go; ids that there are not are passed over."""

    ids: Sequence[str]

    def __call__(self, transaction: Transaction) -> WriteResult:
        """The count is of records that there were."""
        sequence = transaction.begin()
        rows = transaction.live_rows_of(dict.fromkeys(self.ids))
        transaction.end(rows)
        return WriteResult(sequence, len(rows))

    def digest(self) -> bytes:
        """Equal for equal deletes."""
        return _digest(b"ids", json.dumps(list(self.ids)).encode())


@dataclass(frozen=True, slots=True)
class DeleteMatching:
    """Records that match go."""

    where: CompiledFilter

    def __call__(self, transaction: Transaction) -> WriteResult:
        """The count is of records that matched."""
        sequence = transaction.begin()
        rows = transaction.matching(self.where)
        transaction.end(rows)
        return WriteResult(sequence, len(rows))

    def digest(self) -> bytes:
        """Equal for equal deletes."""
        return _digest(b"filter", digest_of(self.where))


@dataclass(frozen=True, slots=True)
class DeleteDocument:
    """A document goes with all its chunks. Raises NotFoundError if there is neither."""

    id: str

    def __call__(self, transaction: Transaction) -> WriteResult:
        """The count is of records that went."""
        sequence = transaction.begin()
        rows = _chunks_of(self.id, transaction)
        removed = remove_document(transaction.connection, self.id)
        if not rows and not removed:
            raise no_document(self.id)
        transaction.count_documents(-1 if removed else 0)
        transaction.end(rows)
        return WriteResult(sequence, len(rows))

    def digest(self) -> bytes:
        """Equal for equal deletes."""
        return _digest(b"document", self.id.encode())


@dataclass(frozen=True, slots=True)
class ReplaceDocument:
    """The old chunks of a document go, the new ones come, and all are counted."""

    document: Document
    batch: Batch

    def __call__(self, transaction: Transaction) -> DocumentWrite:
        """Raises AlreadyExistsError for a chunk whose id another document's record has."""
        sequence = transaction.begin()
        former = find_document(transaction.connection, self.document.id)
        document = replace(
            self.document,
            version=former.version + 1 if former else 1,
            chunk_count=len(self.batch.records),
            update_time=datetime.fromtimestamp(transaction.now(), UTC),
        )
        self._replace_chunks(transaction)
        store_document(transaction.connection, document)
        transaction.count_documents(0 if former else 1)
        self._verify(transaction)
        return DocumentWrite(document, sequence, replaced=former is not None)

    def _replace_chunks(self, transaction: Transaction) -> None:
        chunks = _chunks_of(self.document.id, transaction)
        known = transaction.live_rows_of(record.id for record in self.batch.records)
        for row in known:
            if row.document_id != self.document.id:
                raise record_of_another(row.id, row.document_id, self.document.id)
        transaction.end(chunks)
        transaction.insert(self.batch, _places(known))

    def _verify(self, transaction: Transaction) -> None:
        chunks, vectors = transaction.connection.execute(
            "SELECT count(*), count(slot) FROM rows WHERE died IS NULL AND document_id <> '' "
            "AND document_id = ?",
            (self.document.id,),
        ).fetchone()
        if (chunks, vectors) != (len(self.batch.records), len(self.batch.vectors)):
            raise DataLossError(
                f'document "{self.document.id}" was to have {len(self.batch.records):,} chunks '
                f"and {len(self.batch.vectors):,} vectors, and {chunks:,} and {vectors:,} were "
                "found: the former version stays",
                reason="COUNTS_DIFFER",
            )


def _chunks_of(document_id: str, transaction: Transaction) -> list[LiveRow]:
    return transaction.live_rows(Sql("r.document_id <> '' AND r.document_id = ?", (document_id,)))


def _places(known: Sequence[LiveRow]) -> dict[str, int]:
    return {row.id: row.place for row in known}


def _digest(kind: bytes, content: bytes) -> bytes:
    return hashlib.sha256(kind + b"\0" + content).digest()
