"""Reading files: parse, clean and cut into chunks that know where they stand.

    document = parse(data, filename="handbook.pdf")
    chunks = chunk(document, max_tokens=192, overlap_tokens=32, count_tokens=count)

Everything is said in code points of ``document.text``. Format libraries are imported when a
file of that format first comes.
"""

from __future__ import annotations

from groundwire_index.ingest.chunker import chunk
from groundwire_index.ingest.document import Chunk, HeadingSpan, PageSpan, ParsedDocument
from groundwire_index.ingest.filename import check_filename
from groundwire_index.ingest.limits import ParseLimits
from groundwire_index.ingest.parser import parse

__all__ = [
    "Chunk",
    "HeadingSpan",
    "PageSpan",
    "ParseLimits",
    "ParsedDocument",
    "check_filename",
    "chunk",
    "parse",
]
