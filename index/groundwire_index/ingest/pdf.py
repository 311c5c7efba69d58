"""PDF to blocks.

PDFium gives lines of characters and where they stand on the page. Paragraphs, headings and
table rows follow from sizes and distances; running heads and page numbers, which stand in
the same place on most pages, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Lock
from typing import Any

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest.limits import ParseLimits
from groundwire_index.ingest.pdf_layout import add_pages
from groundwire_index.ingest.pdf_lines import Line, page_lines
from groundwire_index.ingest.text_builder import TextBuilder

__all__ = ["read"]

# PDFium keeps state of its own: one call at a time in a process, whatever the document. It
# is let go between pages, so that a short document does not wait for a long one.
_pdfium = Lock()

_DATA_ERROR, _PASSWORD_ERROR, _SECURITY_ERROR = 3, 4, 5
_END = b"%%EOF"
_LINEARIZED_LENGTH = re.compile(rb"/Linearized\b.{0,200}?/L\s+(\d{1,15})", re.DOTALL)
# Written by programs where no person gave a title.
_NO_TITLE = re.compile(r"\(?(?:untitled|anonymous|unspecified)\)?", re.IGNORECASE)
_TITLE_PREFIX = re.compile(r"\AMicrosoft (?:Word|PowerPoint) - ")


def read(data: bytes, out: TextBuilder, limits: ParseLimits) -> str:
    """Add the pages of a document and return the title in its metadata, or "".

    Raises InvalidArgumentError on ``data``: TRUNCATED_PDF, DAMAGED_PDF, ENCRYPTED_PDF,
    TOO_MANY_PAGES, or NO_TEXT for one that holds pictures of text.
    """
    _check_complete(data)
    with _opened(data) as document:
        with _pdfium:
            count, title = len(document), document.get_metadata_value("Title")
        if count > limits.max_pages:
            raise InvalidArgumentError(
                "data",
                f"has {count:,} pages, over {limits.max_pages:,}: split the file",
                reason="TOO_MANY_PAGES",
            )
        pages = _read_pages(document, count, limits)
    if not any(pages):
        raise InvalidArgumentError(
            "data",
            "has no text, only pictures: run it through text recognition (OCR) first",
            reason="NO_TEXT",
        )
    add_pages(pages, out)
    title = _TITLE_PREFIX.sub("", title.strip())
    return "" if _NO_TITLE.fullmatch(title) else title


def _check_complete(data: bytes) -> None:
    """PDFium repairs a file that ends early by leaving out what is missing: refuse it first."""
    end = data.rfind(_END)
    promised = _LINEARIZED_LENGTH.search(data, 0, 2048)
    if end < 0 or b" obj" in data[end:] or (promised and len(data) < int(promised[1])):
        raise InvalidArgumentError(
            "data", "is a PDF that ends early: send the whole file", reason="TRUNCATED_PDF"
        )


@contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    import pypdfium2

    try:
        with _pdfium:
            document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise _unreadable(getattr(error, "err_code", _DATA_ERROR)) from None
    try:
        yield document
    finally:
        with _pdfium:
            document.close()


def _unreadable(code: int) -> InvalidArgumentError:
    if code in (_PASSWORD_ERROR, _SECURITY_ERROR):
        return InvalidArgumentError(
            "data", "is encrypted: save it without a password", reason="ENCRYPTED_PDF"
        )
    return _damaged("cannot be read as PDF")


def _damaged(what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "data", f"{what}: open it in a PDF viewer and print it to a new PDF", reason="DAMAGED_PDF"
    )


def _read_pages(document: Any, count: int, limits: ParseLimits) -> list[list[Line]]:
    pages = []
    characters = 0
    for index in range(count):
        with _pdfium:
            lines = _read_page(document, index)
        characters += sum(len(line.text) for line in lines)
        if characters > limits.max_text_characters:
            raise InvalidArgumentError(
                "data",
                f"holds more than {limits.max_text_characters:,} characters: split the file",
                reason="TOO_MUCH_TEXT",
            )
        pages.append(lines)
    return pages


def _read_page(document: Any, index: int) -> list[Line]:
    import pypdfium2

    try:
        with closing(document[index]) as page, closing(page.get_textpage()) as text:
            return page_lines(text, page.get_height())
    except pypdfium2.PdfiumError:
        raise _damaged(f"has a broken page {index + 1}") from None
