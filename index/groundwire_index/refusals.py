"""What is said of records and documents that are not there, or are another's."""

from __future__ import annotations

from groundwire_index.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from groundwire_index.records import Record, Vector


def required_vector(record: Record | None, record_id: str, collection: str) -> Vector:
    """A record's vector. Raises NotFoundError without a record, FailedPreconditionError without a
    vector."""
    if record is None:
        raise NotFoundError(
            f'there is no record "{record_id}" in collection "{collection}"',
            metadata={"resource_type": "record", "resource_name": record_id},
        )
    if record.vector is None:
        raise FailedPreconditionError(
            f'record "{record_id}" has no vector: write it again with one',
            reason="RECORD_WITHOUT_VECTOR",
        )
    return record.vector


def no_document(document_id: str) -> NotFoundError:
    """There is no such document, and no record that names it."""
    return NotFoundError(
        f'there is no document "{document_id}" in this collection',
        metadata={"resource_type": "document", "resource_name": document_id},
    )


def record_of_another(record_id: str, owner_id: str, document_id: str) -> AlreadyExistsError:
    """A chunk was to have the id of a record that is not its document's."""
    owner = f'document "{owner_id}"' if owner_id else "no document"
    return AlreadyExistsError(
        f'record "{record_id}" is there already and belongs to {owner}: give the '
        f'chunks of "{document_id}" other ids, or delete that record',
        reason="RECORD_OF_ANOTHER_DOCUMENT",
        metadata={"resource_type": "record", "resource_name": record_id},
    )
