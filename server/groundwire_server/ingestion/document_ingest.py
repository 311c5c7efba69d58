"""From the bytes of one file to chunks that searches find."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest import Chunk, ParsedDocument, ParseLimits, chunk, parse
from groundwire_index.records import Document
from numpy.typing import NDArray

from groundwire_server.blocking import run_blocking
from groundwire_server.embedders.embedder import Embedder
from groundwire_server.embedders.match import require_match
from groundwire_server.ingestion.chunk_records import chunk_records
from groundwire_server.ingestion.chunking import Chunking, chunking_of, largest_chunk
from groundwire_server.ingestion.destination import Destination
from groundwire_server.ingestion.embedding import embed_passages
from groundwire_server.ingestion.events import Ingested, IngestEvent, Progress, Stage
from groundwire_server.ingestion.keyed_locks import KeyedLocks
from groundwire_server.ingestion.request import IngestRequest, recipe_of
from groundwire_server.ingestion.slots import Slots
from groundwire_server.ingestion.unchanged import unchanged
from groundwire_server.ingestion.upload import Upload


class DocumentIngest:
    """Parses, chunks, embeds and stores files.

    The new version of a document replaces the old one atomically, as the last thing that
    happens: when an ingest fails or is cancelled, the old version stays. Ingests of the same
    document take turns. Others run side by side, with a bound on how many are parsed at once,
    since that takes a multiple of a file's size in memory.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        spool_dir: Path,
        chunk_tokens: int,
        chunk_overlap_tokens: int,
        max_document_bytes: int,
        max_parsing: int = 2,
    ) -> None:
        """``spool_dir``, which must exist, is where large files wait until they are complete."""
        self._embedder = embedder
        self._spool_dir = spool_dir
        self._default = Chunking(chunk_tokens, chunk_overlap_tokens)
        self.max_document_bytes = max_document_bytes
        self._limits = ParseLimits(max_bytes=max_document_bytes)
        self._parsing = Slots(max_parsing)
        self._turns = KeyedLocks()

    async def ingest(
        self, collection: Destination, request: IngestRequest, data: AsyncIterable[bytes]
    ) -> AsyncGenerator[IngestEvent, None]:
        """Ingest one file; the last event is an `Ingested`.

        Raises FailedPreconditionError if the server's embedder is not the collection's,
        InvalidArgumentError if the file is too large, cannot be read or holds no text.
        """
        name = collection.spec.name
        require_match(name, collection.spec.fingerprint, self._embedder.fingerprint)
        chunking = await run_blocking(self._chunking, request)
        with Upload(self._spool_dir, self.max_document_bytes) as upload:
            async for piece in data:
                await upload.add(piece)
            yield Progress(Stage.RECEIVED, upload.size, upload.size)
            async with (
                self._turns.hold((request.tenant, name, request.document_id)),
                aclosing(self._store(collection, request, chunking, upload)) as events,
            ):
                async for event in events:
                    yield event

    async def _store(
        self, collection: Destination, request: IngestRequest, chunking: Chunking, upload: Upload
    ) -> AsyncGenerator[IngestEvent, None]:
        content = await upload.sha256()
        recipe = recipe_of(request, chunking, self._embedder.fingerprint)
        if not request.force:
            present = await run_blocking(
                unchanged, collection, request.document_id, content, recipe
            )
            if present is not None:
                yield present
                return

        parsed = await self._parsing.run(self._parse, upload, request)
        pages = max(len(parsed.pages), 1)
        yield Progress(Stage.PARSED, pages, pages)

        chunks = await self._parsing.run(self._cut, parsed, chunking)
        document = _document(request, parsed, len(chunks), content, recipe)
        del parsed
        yield Progress(Stage.CHUNKED, len(chunks), len(chunks))

        vectors: list[NDArray[np.float32]] = []
        texts = [chunk.text for chunk in chunks]
        async with aclosing(embed_passages(self._embedder, texts)) as windows:
            async for window in windows:
                vectors.append(window)
                yield Progress(Stage.EMBEDDED, sum(map(len, vectors)), len(chunks))

        stored = await run_blocking(_replace, collection, document, chunks, vectors)
        yield Progress(Stage.STORED, len(chunks), len(chunks))
        yield Progress(Stage.READY, len(chunks), len(chunks))
        yield stored

    def _chunking(self, request: IngestRequest) -> Chunking:
        return chunking_of(
            request.max_tokens,
            request.overlap_tokens,
            default=self._default,
            limit=largest_chunk(self._embedder),
        )

    def _parse(self, upload: Upload, request: IngestRequest) -> ParsedDocument:
        return parse(
            upload.read(),
            filename=request.filename,
            mime_type=request.mime_type,
            limits=self._limits,
        )

    def _cut(self, parsed: ParsedDocument, chunking: Chunking) -> Sequence[Chunk]:
        chunks = chunk(
            parsed,
            max_tokens=chunking.max_tokens,
            overlap_tokens=chunking.overlap_tokens,
            count_tokens=self._embedder.count_tokens,
        )
        if not chunks:
            raise InvalidArgumentError(
                "data", "the file holds no text that could be searched", reason="NO_TEXT"
            )
        return chunks


def _document(
    request: IngestRequest, parsed: ParsedDocument, chunks: int, content: str, recipe: str
) -> Document:
    return Document(
        id=request.document_id,
        filename=request.filename,
        mime_type=parsed.mime_type,
        title=parsed.title,
        version=0,  # given by the index, with the write
        content_sha256=content,
        chunk_count=chunks,
        page_count=len(parsed.pages),
        character_count=len(parsed.text),
        metadata=request.metadata,
        update_time=datetime.now(UTC),
        recipe=recipe,
    )


def _replace(
    collection: Destination,
    document: Document,
    chunks: Sequence[Chunk],
    vectors: Sequence[NDArray[np.float32]],
) -> Ingested:
    records = chunk_records(document.id, document.metadata, chunks, np.concatenate(vectors))
    written = collection.replace_document(document, records)
    return Ingested(written.document, written.sequence, replaced=written.replaced)
