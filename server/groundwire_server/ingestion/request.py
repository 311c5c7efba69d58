"""What is asked: one file to ingest, and how."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from groundwire_index.records import Fingerprint, Metadata

from groundwire_server.ingestion.chunking import Chunking


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """One file. Its bytes arrive apart from this."""

    tenant: str
    document_id: str
    filename: str
    """Without any folder."""
    mime_type: str = ""
    """As declared; empty: found from the content and the name."""
    metadata: Metadata = field(default_factory=dict)
    max_tokens: int | None = None
    """Largest chunk; None for the server's default."""
    overlap_tokens: int | None = None
    """None for the server's default."""
    force: bool = False
    """Parse and embed even if the same content is stored already."""


# One more whenever the same file would be parsed or cut differently than before, so that it is
# not skipped when it comes again.
_PARSER_VERSION = 1


def recipe_of(request: IngestRequest, chunking: Chunking, fingerprint: Fingerprint) -> str:
    """Digest, in hexadecimal, of what besides the bytes decides what is stored."""
    recipe = {
        "parser": _PARSER_VERSION,
        "filename": request.filename,
        "mime_type": request.mime_type,
        "metadata": request.metadata,
        "chunking": asdict(chunking),
        "fingerprint": asdict(fingerprint),
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
