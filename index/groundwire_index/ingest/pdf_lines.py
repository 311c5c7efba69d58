"""The lines of a PDF page, and where they stand on it."""

from __future__ import annotations

import ctypes
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["Line", "page_lines"]

# What PDFium puts for a hyphen that ends a line; it leaves out the end of the line then.
_LINE_HYPHEN = "\ufffe"
_LINE = re.compile(rf"[^\r\n{_LINE_HYPHEN}]+{_LINE_HYPHEN}?")
_HYPHENATED = re.compile(r"[^\W\d_]-\Z")
_SPACE = re.compile(r" +")
# Wider than spaces between words, even of justified text, in heights of the line.
_COLUMN_GAP = 0.9


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is printed. Lengths are in points; y counts up from the bottom edge."""

    text: str
    left: float
    right: float
    bottom: float
    size: float
    """Height of the line of its font, about the font size."""
    bold: bool
    """From the first character to the last."""
    cells: tuple[str, ...]
    """The text in pieces, if gaps as wide as between columns divide it."""
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
    return [line for match in _LINE.finditer(text) for line in _lines(match, place, page_height)]


def _lines(match: re.Match[str], place: _Place, page_height: float) -> Iterator[Line]:
    text = match[0].replace(_LINE_HYPHEN, "-")
    stripped = text.strip()
    if not stripped:
        return
    start = match.start() + len(text) - len(text.lstrip())
    end = start + len(stripped)
    first, middle, last = (place.box(at) for at in (start, (start + end) // 2, end - 1))
    # A bullet, an initial or a footnote mark at one end is of another size than the line.
    size = median(box.top - box.bottom for box in (first, middle, last))
    yield Line(
        text=stripped,
        left=first.left,
        right=last.right,
        bottom=median((first.bottom, middle.bottom, last.bottom)),
        size=size,
        bold=place.is_bold(start) and place.is_bold(end - 1),
        cells=_cells(stripped, start, place, size),
        hyphenated=_HYPHENATED.search(stripped) is not None,
        page_height=page_height,
    )


def _cells(text: str, start: int, place: _Place, size: float) -> tuple[str, ...]:
    if place.runs(start, len(text)) < 2:
        return (text,)
    cells, cell_start = [], 0
    for space in _SPACE.finditer(text):
        before, after = place.box(start + space.start() - 1), place.box(start + space.end())
        if after.left - before.right > _COLUMN_GAP * size:
            cells.append(text[cell_start : space.start()])
            cell_start = space.end()
    return (*cells, text[cell_start:])


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

    def runs(self, position: int, length: int) -> int:
        """How many separately placed pieces some characters are in."""
        return int(self._pdfium.FPDFText_CountRects(self._page, self._index(position), length))

    def _index(self, position: int) -> int:
        units = position + bisect_left(self._wide, position)
        return max(0, int(self._pdfium.FPDFText_GetCharIndexFromTextIndex(self._page, units)))
