"""Whether a file that comes again needs no work."""

from __future__ import annotations

from groundwire_index.filters import DOCUMENT_ID, Condition, Operator

from groundwire_server.ingestion.destination import Destination
from groundwire_server.ingestion.events import Ingested


def unchanged(
    collection: Destination, document_id: str, content_sha256: str, recipe: str
) -> Ingested | None:
    """The document as it is stored, if this content made by this recipe would give the same.

    It is not the same any more once chunks of it have been deleted. Blocking.
    """
    document = collection.document(document_id)
    if document is None or (document.content_sha256, document.recipe) != (content_sha256, recipe):
        return None
    chunks = collection.count(Condition(DOCUMENT_ID, Operator.EQ, document_id))
    if chunks.count != document.chunk_count:
        return None
    return Ingested(document, chunks.sequence, skipped=True)
