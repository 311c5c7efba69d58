"""One road from the bytes of a file to its text."""

from __future__ import annotations

from collections.abc import Callable

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest import docx, html, markdown, pdf, plain
from groundwire_index.ingest.clean import clean_line
from groundwire_index.ingest.document import HeadingSpan, ParsedDocument
from groundwire_index.ingest.filename import check_filename, stem
from groundwire_index.ingest.limits import ParseLimits
from groundwire_index.ingest.media_type import DOCX, HTML, MARKDOWN, PDF, PLAIN, media_type
from groundwire_index.ingest.text_builder import TextBuilder

__all__ = ["parse"]

Reader = Callable[[bytes, TextBuilder, ParseLimits], str]
"""Adds the blocks of a file to the builder and returns the title in its metadata, or ""."""

READERS: dict[str, Reader] = {
    PDF: pdf.read,
    DOCX: docx.read,
    HTML: html.read,
    MARKDOWN: markdown.read,
    PLAIN: plain.read,
}

_LONGEST_TITLE = 300


def parse(
    data: bytes,
    *,
    filename: str,
    mime_type: str = "",
    limits: ParseLimits = ParseLimits(),  # noqa: B008  frozen
) -> ParsedDocument:
    """Read a PDF, DOCX, HTML, Markdown or plain text file.

    ``mime_type`` may be empty: the type then follows from the content and the name. Safe to
    call from several threads. Raises InvalidArgumentError on ``filename``, ``mime_type`` or
    ``data``, with the reason: INVALID_FILENAME, EMPTY_FILE, TOO_LARGE, WRONG_MEDIA_TYPE,
    UNSUPPORTED_MEDIA_TYPE, INVALID_ENCODING, BINARY_CONTENT, TRUNCATED_PDF, DAMAGED_PDF,
    ENCRYPTED_PDF, TOO_MANY_PAGES, TRUNCATED_DOCX, DAMAGED_DOCX, ENCRYPTED_DOCX,
    DECOMPRESSION_BOMB, TOO_MUCH_TEXT or NO_TEXT.
    """
    check_filename(filename)
    _check_size(len(data), limits)
    found = media_type(data, filename, mime_type)
    out = TextBuilder(limits)
    title = READERS[found](data, out, limits)
    text, pages, headings = out.finish()
    if not text:
        raise InvalidArgumentError(
            "data", "has no text in it: send a file that does", reason="NO_TEXT"
        )
    return ParsedDocument(found, _title(title, headings, filename), text, pages, headings)


def _check_size(size: int, limits: ParseLimits) -> None:
    if not size:
        raise InvalidArgumentError("data", "is empty: send the file", reason="EMPTY_FILE")
    if size > limits.max_bytes:
        raise InvalidArgumentError(
            "data",
            f"has {size:,} bytes, over {limits.max_bytes:,}: split the file",
            reason="TOO_LARGE",
        )


def _title(title: str, headings: tuple[HeadingSpan, ...], filename: str) -> str:
    first = headings[0].text if headings else stem(filename)
    return (clean_line(title) or first)[:_LONGEST_TITLE].rstrip()
