"""Where a document goes: a collection, or one that comes to be with the document."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from groundwire_index.backend import IndexBackend
from groundwire_index.checks import check_spec
from groundwire_index.errors import AlreadyExistsError, InvalidArgumentError
from groundwire_index.filters import Filter
from groundwire_index.records import (
    CollectionSpec,
    Count,
    Document,
    DocumentWrite,
    Fingerprint,
    Record,
)

from groundwire_server.embedders.match import require_match


class Destination(Protocol):
    """What an ingest needs of a collection. All methods block."""

    @property
    def spec(self) -> CollectionSpec:
        """What it is, or would be."""
        ...

    def document(self, document_id: str) -> Document | None:
        """The document as it is stored."""
        ...

    def count(self, where: Filter | None = None, /) -> Count:
        """How many records match."""
        ...

    def replace_document(self, document: Document, records: Sequence[Record]) -> DocumentWrite:
        """Store a document in place of its former version, atomically."""
        ...


class NewCollection:
    """A collection that is not there, and is created when its first document is stored.

    So an ingest that fails leaves no empty collection behind, and deletes none that somebody
    else has begun to fill. One that was created meanwhile is used if it is of the same embedder.
    """

    def __init__(
        self, index: IndexBackend, tenant: str, spec: CollectionSpec, embedder: Fingerprint
    ) -> None:
        """Raises InvalidArgumentError on ``collection`` if none may have that name."""
        try:
            check_spec(spec)
        except InvalidArgumentError as error:
            raise InvalidArgumentError("collection", error.violations[0].description) from error
        self._index = index
        self._tenant = tenant
        self.spec = spec
        self._embedder = embedder

    def document(self, document_id: str) -> None:
        """None: nothing is stored yet."""

    def count(self, _: Filter | None = None, /) -> Count:
        """Nothing."""
        return Count(0, 0)

    def replace_document(self, document: Document, records: Sequence[Record]) -> DocumentWrite:
        """Create the collection and store the document."""
        with suppress(AlreadyExistsError):
            self._index.create_collection(self._tenant, self.spec)
        collection = self._index.collection(self._tenant, self.spec.name)
        require_match(self.spec.name, collection.spec.fingerprint, self._embedder)
        return collection.replace_document(document, records)
