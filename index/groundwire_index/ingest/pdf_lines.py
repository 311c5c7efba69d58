"""The lines of a PDF page, and where they stand on it."""

from __future__ import annotations

import ctypes
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from groundwire_index.ingest.sentences import Span, trimmed

__all__ = ["Line", "page_lines"]

# What PDFium puts for a hyphen that ends a line; it leaves out the end of the line then.
_LINE_HYPHEN = "\ufffe"
_LINE = re.compile(rf"[^\r\n{_LINE_HYPHEN}]+{_LINE_HYPHEN}?")
_HYPHENATED = re.compile(r"[^\W\d_]-\Z")
_SPACE = re.compile(r"\s+")
# Wider than spaces between words, even of justified text, in heights of the line.
_COLUMN_GAP = 0.9


@dataclass(frozen=True, slots=True)
class Line:
    """What is printed on one line, up to a gap as wide as between columns.

    Lengths are in points; y counts up from the bottom edge.
    """

    text: str
    left: float
    right: float
    bottom: float
    size: float
    """Height of the line of its font, about the font size."""
    bold: bool
    """From the first character to the last."""
    hyphenated: bool
    """It ends with a hyphen, and a word may go on in the next line."""
    page_height: float


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    right: float
    bottom: float
    top: float


def page_lines(text_page: Any, page_height: float) -> list[Line]:
    """Read the lines of a ``pypdfium2.PdfTextPage`` in the order of the file."""
    text = text_page.get_text_range()
    place = _Place(text_page, text)
    return [
        _line(text, span, place, page_height)
        for match in _LINE.finditer(text)
        for span in _pieces(text, trimmed(text, *match.span()), place)
    ]


def _pieces(text: str, span: Span, place: _Place) -> Iterator[Span]:
    """A printed line, divided at its widest gaps."""
    if span.start == span.end:
        return
    if place.runs(span) > 1:
        box = place.box(span.start)
        widest = _COLUMN_GAP * (box.top - box.bottom)
        for space in _SPACE.finditer(text, *span):
            if place.box(space.end()).left - place.box(space.start() - 1).right > widest:
                yield Span(span.start, space.start())
                span = Span(space.end(), span.end)
    yield span


def _line(text: str, span: Span, place: _Place, page_height: float) -> Line:
    first, middle, last = (
        place.box(at) for at in (span.start, (span.start + span.end) // 2, span.end - 1)
    )
    words = text[span.start : span.end].replace(_LINE_HYPHEN, "-")
    return Line(
        text=words,
        left=first.left,
        right=last.right,
        # A bullet, an initial or a footnote mark at one end stands apart from the rest.
        bottom=median((first.bottom, middle.bottom, last.bottom)),
        size=median(box.top - box.bottom for box in (first, middle, last)),
        bold=place.is_bold(span.start) and place.is_bold(span.end - 1),
        hyphenated=_HYPHENATED.search(words) is not None,
        page_height=page_height,
    )


class _Place:
    """Looks up what PDFium knows about the character at a position of a page's text."""

    def __init__(self, text_page: Any, text: str) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._page = text_page
        # PDFium counts in UTF-16.
        self._wide = [at for at, character in enumerate(text) if character > "\uffff"]
        self._rectangle = pdfium.FS_RECTF()
        self._name = ctypes.create_string_buffer(128)

    def box(self, position: int) -> _Box:
        """The box of a character, as high as its font."""
        rectangle = self._rectangle
        if not self._pdfium.FPDFText_GetLooseCharBox(
            self._page, self._index(position), ctypes.byref(rectangle)
        ):
            return _Box(0.0, 0.0, 0.0, 0.0)
        return _Box(rectangle.left, rectangle.right, rectangle.bottom, rectangle.top)

    def is_bold(self, position: int) -> bool:
        """Whether the font is, by its name or its weight."""
        index = self._index(position)
        self._name.value = b""
        self._pdfium.FPDFText_GetFontInfo(
            self._page, index, self._name, len(self._name), ctypes.c_int()
        )
        return (
            b"bold" in self._name.value.lower()
            or self._pdfium.FPDFText_GetFontWeight(self._page, index) >= 600
        )

    def runs(self, span: Span) -> int:
        """How many separately placed pieces some characters are in."""
        first, length = self._index(span.start), span.end - span.start
        return int(self._pdfium.FPDFText_CountRects(self._page, first, length))

    def _index(self, position: int) -> int:
        units = position + bisect_left(self._wide, position)
        return max(0, int(self._pdfium.FPDFText_GetCharIndexFromTextIndex(self._page, units)))
