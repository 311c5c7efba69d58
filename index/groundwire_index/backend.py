"""What a server needs of an index, wherever its records are kept.

`Index` keeps them in a folder of this machine, `groundwire_index.milvus` in Milvus; both pass
tests/conformance/backend. What a backend cannot do as it is written here it refuses with
UnsupportedError, which says what to do instead; it never does something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from groundwire_index.backup.manifest import SnapshotInfo
from groundwire_index.backup.transfer import Incoming, Piece
from groundwire_index.filters import Filter
from groundwire_index.records import (
    CollectionChange,
    CollectionInfo,
    CollectionSpec,
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


class CollectionBackend(Protocol):
    """A named set of records. All methods block and are thread-safe.

    A write is all or nothing. When it returns, every read that starts later sees it, in this
    process and after a restart. A read sees the state after one write, named by its sequence
    number, which grows by one with each write. A write with an idempotency key is done once for
    24 hours at least: the same request gets the first answer again, another AlreadyExistsError.

    Every method can raise UnavailableError or ResourceExhaustedError, and NotFoundError once the
    collection has been deleted. What is wrong with an argument is InvalidArgumentError, which
    names the field.
    """

    @property
    def spec(self) -> CollectionSpec:
        """What the collection is by now."""

    def info(self) -> CollectionInfo:
        """Sizes, state and sequence number."""

    def upsert(
        self, records: Sequence[Record], *, idempotency_key: str = "", request_digest: bytes = b""
    ) -> WriteResult:
        """Write records by id, whole; of those with one id the last. Counts distinct ids."""

    def delete_ids(self, ids: Sequence[str], *, idempotency_key: str = "") -> WriteResult:
        """Delete records by id; ids that there are not are no error."""

    def delete_filter(self, where: Filter, *, idempotency_key: str = "") -> WriteResult:
        """Delete the records that match a filter with at least one condition."""

    def get(self, ids: Sequence[str], include: Include = ...) -> list[Record | None]:
        """Records in the order of ``ids``; None where there is none."""

    def vector_of(self, record_id: str) -> Vector:
        """The vector of one record.

        Raises NotFoundError if there is no such record, FailedPreconditionError if it has none.
        """

    def count(self, where: Filter | None = None) -> Count:
        """How many records match; all of them without a filter."""

    def scroll(
        self,
        where: Filter | None = None,
        *,
        cursor: str = "",
        limit: int = 100,
        include: Include = ...,
    ) -> ScrollPage:
        """Read every record that matches, page by page, in order of first insertion.

        All pages show the state at the first one. Raises InvalidArgumentError for a cursor of
        another collection or filter, and FailedPreconditionError for one whose state is no
        longer kept.
        """

    def newest(
        self,
        where: Filter | None = None,
        *,
        cursor: str = "",
        limit: int = 100,
        include: Include = ...,
    ) -> ScrollPage:
        """Read every record that matches, page by page, the last inserted first.

        Each page shows the state of its own time: what has been deleted since the first page is in
        none, what has been inserted since is in none either, and none is in two.
        """

    def search(self, query: SearchQuery) -> SearchResult:
        """The best records for one query, best first, equals in order of id."""

    def search_many(self, queries: Sequence[SearchQuery]) -> list[SearchResult]:
        """Answer queries in order, all from one state."""

    def wait_for(self, sequence: int, timeout_s: float) -> None:
        """Return once reads see write number ``sequence``.

        Raises InvalidArgumentError for a number that was not given out.
        """

    def document(self, document_id: str) -> Document | None:
        """A document at its current version."""

    def list_documents(self, *, after: str = "", limit: int = 100) -> list[Document]:
        """The first ``limit`` documents whose ids come after ``after``, in order of id."""

    def replace_document(self, document: Document, records: Sequence[Record]) -> DocumentWrite:
        """Store a document with all its chunks in place of its former version, in one write.

        Raises AlreadyExistsError if a record of another document has the id of a chunk.
        """

    def delete_document(self, document_id: str, *, idempotency_key: str = "") -> WriteResult:
        """Delete a document and every record that names it; the count is of the records.

        Raises NotFoundError if there is neither.
        """


class SnapshotBackend(Protocol):
    """Copies of collections that outlive them, as `groundwire_index.backup.snapshots` says."""

    def take(self, tenant: str, name: str, *, idempotency_key: str = "") -> SnapshotInfo:
        """Take one of a collection in use."""

    def page(
        self, tenant: str, *, collection: str = "", before: str = "", limit: int = 100
    ) -> list[SnapshotInfo]:
        """The newest that are older than ``before``, an id."""

    def delete(self, tenant: str, snapshot_id: str) -> None:
        """Delete one. Raises NotFoundError."""

    def restore(
        self, tenant: str, snapshot_id: str, *, name: str = "", replacing: bool = False
    ) -> CollectionInfo:
        """Restore one under a name, its own if empty."""

    def outgoing(self, tenant: str, snapshot_id: str) -> Iterator[Piece]:
        """All of one in pieces."""

    def incoming(self, tenant: str) -> Incoming:
        """Take one in, piece by piece."""


class IndexBackend(Protocol):
    """All collections of all tenants. All methods block and are thread-safe.

    Tenants see nothing of each other. Changes of collections and aliases are atomic, and done
    once for an idempotency key.
    """

    @property
    def text_mode(self) -> SearchMode:
        """How a search by text ranks that does not say how."""

    @property
    def snapshots(self) -> SnapshotBackend:
        """Of all collections."""

    def create_collection(
        self, tenant: str, spec: CollectionSpec, *, idempotency_key: str = ""
    ) -> CollectionInfo:
        """Create an empty collection. Raises AlreadyExistsError if the name is taken."""

    def collection(self, tenant: str, name: str) -> CollectionBackend:
        """One collection, by its name or an alias. Raises NotFoundError."""

    def opened(self, tenant: str, name: str) -> CollectionBackend | None:
        """The same if it is in use already, without waiting for anything; else None."""

    def list_collections(
        self, tenant: str, *, after: str = "", limit: int = 100
    ) -> list[CollectionInfo]:
        """The first ``limit`` collections whose names come after ``after``, in order of name."""

    def tenants_with(self, name: str) -> list[str]:
        """Tenants that have a collection of this name of its own, in order."""

    def update_collection(
        self, tenant: str, name: str, change: CollectionChange, *, idempotency_key: str = ""
    ) -> CollectionInfo:
        """Change a collection's description or index configuration, all of it or nothing."""

    def set_alias(
        self, tenant: str, alias: str, name: str, *, idempotency_key: str = ""
    ) -> tuple[CollectionInfo, str]:
        """Point an alias to a collection; the collection, and where it pointed before, or ""."""

    def delete_alias(self, tenant: str, alias: str) -> str:
        """Remove an alias; the collection that it pointed to. Raises NotFoundError."""

    def delete_collection(self, tenant: str, name: str) -> int:
        """Delete a collection with everything in it; how many live records it had.

        Raises NotFoundError, and FailedPreconditionError while an alias points to it.
        """

    def purge(self) -> int:
        """Remove for good what was deleted or replaced, as far as it is due; how many rows.

        To be called now and then.
        """

    def close(self) -> None:
        """Finish the writes in progress and let everything go."""
