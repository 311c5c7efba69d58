"""Ingesting, listing and deleting documents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from groundwire.call import Pages, Unary, Upload, call
from groundwire.documents import Source
from groundwire.made import made
from groundwire.requests.keys import idempotency_key as key
from groundwire.results import documents as results
from groundwire.results.records import Written
from groundwire.v1 import retrieve_service_pb2 as pb
from groundwire.values import JSONObject, to_struct


def _ignore(progress: results.IngestProgress) -> None: ...


def ingest(
    collection: str,
    source: str | Path | bytes,
    *,
    filename: str = "",
    document_id: str = "",
    mime_type: str = "",
    metadata: JSONObject | None = None,
    max_tokens: int | None = None,
    overlap_tokens: int | None = None,
    force: bool = False,
    create_collection: bool = False,
    on_progress: Callable[[results.IngestProgress], None] = _ignore,
    timeout: float | None = None,
) -> Upload:
    """Parse, chunk, embed and store one file, sent in pieces.

    ``source`` is a path or the bytes themselves, which need a ``filename``. A document of
    the same id (the file name if empty) is replaced atomically, and on any failure stays;
    unchanged content is skipped unless ``force``. With ``create_collection``, a collection that
    is not there comes to be with its first document. ``on_progress`` is called with each step.
    It may take as long as it goes on: ``timeout`` is the seconds during which nothing moves,
    neither bytes out nor progress in. ``OSError`` if the file cannot be read.
    """
    content = source if isinstance(source, bytes) else Path(source)
    name = filename or ("" if isinstance(content, bytes) else content.name)
    if not name:
        raise ValueError("Bytes need a filename: its ending helps to tell what they are.")
    header = pb.IngestHeader(
        collection=collection,
        document_id=document_id,
        filename=name,
        mime_type=mime_type,
        metadata=to_struct(metadata) if metadata else None,
        chunking=made(pb.Chunking, max_tokens=max_tokens, overlap_tokens=overlap_tokens),
        force=force,
        create_collection=create_collection,
    )
    return Upload(header, Source(content), on_progress, timeout)


def list_documents(
    collection: str, *, page_size: int = 100, timeout: float | None = None
) -> Pages[results.Document]:
    """Iterate over the ingested documents, by id."""
    return Pages(
        lambda cursor: call(
            "RetrieveService/ListDocuments",
            made(
                pb.ListDocumentsRequest, collection=collection, page_size=page_size, cursor=cursor
            ),
            pb.ListDocumentsResponse,
            results.documents,
            timeout,
        )
    )


def delete_document(
    collection: str,
    document_id: str,
    *,
    idempotency_key: str = "",
    timeout: float | None = None,
) -> Unary[Written]:
    """Delete a document with its chunks, atomically; ``count`` is of chunks."""
    request = pb.DeleteDocumentRequest(
        collection=collection, document_id=document_id, idempotency_key=key(idempotency_key)
    )
    return call(
        "RetrieveService/DeleteDocument",
        request,
        pb.DeleteDocumentResponse,
        results.deleted,
        timeout,
    )
