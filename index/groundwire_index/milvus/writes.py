"""The writes that a collection in Milvus knows, each drafted whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from groundwire_index.errors import UnsupportedError
from groundwire_index.milvus.draft import Draft
from groundwire_index.milvus.link import Row
from groundwire_index.milvus.rows import Answer, document_key, id_of, record_key
from groundwire_index.milvus.schema import DOCUMENT, MAX_ROWS
from groundwire_index.once import key_reused
from groundwire_index.records import Document, DocumentWrite, WriteResult
from groundwire_index.refusals import no_document, record_of_another

Now = Callable[[], float]
Write = Callable[[Draft], WriteResult]


@dataclass(frozen=True, slots=True)
class Once:
    """A write that is done once for one idempotency key, however often it comes."""

    key: str
    digest: bytes
    """Equal if and only if the request is."""
    now: Now
    write: Write

    def __call__(self, draft: Draft) -> WriteResult:
        """Raises AlreadyExistsError if the key came with another request."""
        digest = self.digest.hex()
        found = draft.answer(self.key)
        if found is not None:
            if found.digest != digest:
                raise key_reused(self.key)
            draft.repeated = True
            return WriteResult(found.sequence, found.count)
        result = self.write(draft)
        draft.put_answer(Answer(self.key, digest, result.sequence, result.count, self.now()))
        return result


@dataclass(frozen=True, slots=True)
class Upsert:
    """New ids are inserted, known ones replaced whole."""

    records: Sequence[Row]
    ids: Sequence[str]

    def __call__(self, draft: Draft) -> WriteResult:
        """The count is of distinct ids."""
        draft.insert(self.records, draft.records(self.ids))
        return WriteResult(draft.head.sequence, len(self.records))


@dataclass(frozen=True, slots=True)
class DeleteIds:
    """Records go; ids that there are not are passed over."""

    ids: Sequence[str]

    def __call__(self, draft: Draft) -> WriteResult:
        """The count is of records that there were."""
        known = draft.records(self.ids)
        draft.end(known)
        return WriteResult(draft.head.sequence, len(known))

    def digest(self) -> bytes:
        """Equal for equal deletes."""
        return digest_of(b"ids", json.dumps(list(self.ids)).encode())


@dataclass(frozen=True, slots=True)
class DeleteMatching:
    """Records that match go."""

    expression: str

    def __call__(self, draft: Draft) -> WriteResult:
        """The count is of records that matched."""
        keys = draft.matching(self.expression)
        draft.end(keys)
        return WriteResult(draft.head.sequence, len(keys))

    def digest(self) -> bytes:
        """Equal for equal deletes."""
        return digest_of(b"filter", self.expression.encode())


@dataclass(frozen=True, slots=True)
class DeleteDocument:
    """A document goes with all its chunks. Raises NotFoundError if there is neither."""

    id: str

    def __call__(self, draft: Draft) -> WriteResult:
        """The count is of records that went."""
        keys = _chunks_of(self.id, draft)
        stored = draft.document(self.id)
        if not keys and stored is None:
            raise no_document(self.id)
        draft.end(keys)
        if stored is not None:
            draft.end([document_key(self.id)])
        return WriteResult(draft.head.sequence, len(keys))

    def digest(self) -> bytes:
        """Equal for equal deletes."""
        return digest_of(b"document", self.id.encode())


@dataclass(frozen=True, slots=True)
class ReplaceDocument:
    """The old chunks of a document go, and the new ones come."""

    document: Document
    records: Sequence[Row]
    ids: Sequence[str]
    now: Now

    def __call__(self, draft: Draft) -> DocumentWrite:
        """Raises AlreadyExistsError for a chunk whose id another document's record has."""
        former = draft.document(self.document.id)
        document = replace(
            self.document,
            version=former.version + 1 if former else 1,
            chunk_count=len(self.records),
            update_time=datetime.fromtimestamp(self.now(), UTC),
        )
        chunks = _chunks_of(self.document.id, draft)
        known = draft.records(self.ids)
        self._require_own(known)
        draft.end(chunks)
        draft.insert(self.records, known)
        draft.put_document(document)
        return DocumentWrite(document, draft.head.sequence, replaced=former is not None)

    def _require_own(self, known: dict[str, Row]) -> None:
        mine = record_key(self.document.id)
        for key, row in known.items():
            if row[DOCUMENT] != mine:
                owner = id_of(row[DOCUMENT]) if row[DOCUMENT] else ""
                raise record_of_another(id_of(key), owner, self.document.id)


def require_few(records: Sequence[object]) -> None:
    """Refuse a document whose chunks do not fit into one write."""
    if len(records) >= MAX_ROWS:
        raise UnsupportedError(
            f"the document has {len(records):,} chunks: with the index in Milvus fewer than "
            f"{MAX_ROWS:,} are written at once; ingest it in larger chunks or in parts",
            reason="WRITE_TOO_LARGE",
        )


def digest_of(kind: bytes, content: bytes) -> bytes:
    """Equal for equal writes of one kind."""
    return hashlib.sha256(kind + b"\0" + content).digest()


def _chunks_of(document_id: str, draft: Draft) -> list[str]:
    return draft.matching(f'{DOCUMENT} == "{record_key(document_id)}"')
