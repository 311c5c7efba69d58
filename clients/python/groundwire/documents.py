"""A file to ingest, in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from groundwire.v1.retrieve_service_pb2 import IngestDocumentRequest, IngestHeader

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document's bytes come from."""

    content: Path | bytes

    def open(self) -> BinaryIO:
        """A stream of the bytes; ``OSError`` if there is no such file."""
        return BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


def requests(header: IngestHeader, file: BinaryIO) -> Iterator[IngestDocumentRequest]:
    """The messages that carry a document: its header, then its bytes."""
    yield IngestDocumentRequest(header=header)
    while piece := file.read(PIECE_BYTES):
        yield IngestDocumentRequest(data=piece)
