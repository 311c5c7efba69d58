"""The chunks of a document as records of the index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from groundwire_index.ingest import Chunk
from groundwire_index.records import ChunkPosition, Metadata, Record
from numpy.typing import NDArray

_MAX_ID_BYTES = 512
# Room for "#" and the largest ordinal.
_ORDINAL_BYTES = 12


def chunk_id(document_id: str, ordinal: int) -> str:
    """``<document id>#<ordinal>``; of an id that leaves no room for it, the digest."""
    data = document_id.encode()
    if len(data) + _ORDINAL_BYTES > _MAX_ID_BYTES:
        document_id = "sha256:" + hashlib.sha256(data).hexdigest()
    return f"{document_id}#{ordinal}"


def chunk_records(
    document_id: str, metadata: Metadata, chunks: Iterable[Chunk], vectors: NDArray[np.float32]
) -> Sequence[Record]:
    """One record per chunk, in order; ``vectors`` has shape (chunks, dimension)."""
    return [
        Record(
            id=chunk_id(document_id, chunk.ordinal),
            vector=vector,
            text=chunk.text,
            metadata=metadata,
            document_id=document_id,
            position=_position_of(chunk),
        )
        for chunk, vector in zip(chunks, vectors, strict=True)
    ]


def _position_of(chunk: Chunk) -> ChunkPosition:
    return ChunkPosition(
        ordinal=chunk.ordinal,
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        last_page=chunk.last_page,
        headings=tuple(chunk.headings),
        token_count=chunk.token_count,
    )
