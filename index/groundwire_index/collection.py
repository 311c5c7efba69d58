"""One collection: writes that are durable when acknowledged, and consistent reads."""

from __future__ import annotations

from collections.abc import Sequence

from groundwire_index.filters import Filter
from groundwire_index.records import (
    CollectionInfo,
    CollectionSpec,
    Count,
    Document,
    DocumentWrite,
    Include,
    Record,
    ScrollPage,
    SearchQuery,
    SearchResult,
    Vector,
    WriteResult,
)

ALL_BUT_VECTOR = Include()


class Collection:
    """All methods block and are thread-safe."""

    @property
    def spec(self) -> CollectionSpec: ...
    def info(self) -> CollectionInfo: ...
    def upsert(
        self,
        records: Sequence[Record],
        *,
        idempotency_key: str = "",
        request_digest: bytes = b"",
    ) -> WriteResult: ...
    def delete_ids(self, ids: Sequence[str], *, idempotency_key: str = "") -> WriteResult: ...
    def delete_filter(self, filter: Filter, *, idempotency_key: str = "") -> WriteResult: ...
    def get(
        self, ids: Sequence[str], include: Include = ALL_BUT_VECTOR
    ) -> list[Record | None]: ...
    def count(self, filter: Filter | None = None) -> Count: ...
    def scroll(
        self,
        filter: Filter | None = None,
        *,
        cursor: str = "",
        limit: int = 100,
        include: Include = ALL_BUT_VECTOR,
    ) -> ScrollPage: ...
    def search(self, query: SearchQuery) -> SearchResult: ...
    def search_many(self, queries: Sequence[SearchQuery]) -> list[SearchResult]: ...
    def vector_of(self, id: str) -> Vector: ...
    def wait_for(self, sequence: int, timeout_s: float) -> None: ...
    def document(self, document_id: str) -> Document | None: ...
    def replace_document(self, document: Document, records: Sequence[Record]) -> DocumentWrite: ...
    def list_documents(self, *, after: str = "", limit: int = 100) -> list[Document]: ...
    def delete_document(self, document_id: str, *, idempotency_key: str = "") -> WriteResult: ...
