"""Puts the blocks of a file together into its text, and notes where each thing stands."""

from __future__ import annotations

from enum import Enum
from io import StringIO

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest.clean import clean, clean_code, clean_line
from groundwire_index.ingest.document import HeadingSpan, PageSpan
from groundwire_index.ingest.limits import ParseLimits

__all__ = ["TextBuilder"]


class _Kind(Enum):
    NONE = "none"
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    ITEM = "item"
    ROW = "row"
    CODE = "code"


# What follows one of its own kind on the next line; everything else has an empty line between.
_TIGHT = frozenset({_Kind.ITEM, _Kind.ROW})


class TextBuilder:
    """Takes the blocks of a document in reading order; empty ones are left out.

    Raises InvalidArgumentError as soon as the text is longer than the limit.
    """

    def __init__(self, limits: ParseLimits) -> None:
        self._limit = limits.max_text_characters
        self._text = StringIO()
        self._length = 0
        self._last = _Kind.NONE
        self._headings: list[HeadingSpan] = []
        self._pages: list[PageSpan] = []
        self._page_start: int | None = None

    def heading(self, text: str, level: int) -> None:
        """Add a heading; ``level`` counts from 1."""
        line = clean_line(text)
        if self._block(line, _Kind.HEADING):
            start = self._length - len(line)
            self._headings.append(HeadingSpan(level, line, start, self._length))

    def paragraph(self, text: str) -> None:
        """Add prose. A newline in it is one that the author wanted."""
        self._block(clean(text), _Kind.PARAGRAPH)

    def continued(self, text: str, joint: str) -> None:
        """Go on with the paragraph before, after ``joint`` (a space, or nothing in a word)."""
        rest = clean(text)
        if rest:
            self._write(joint if self._length else "")
            self._mark_page()
            self._write(rest)

    def item(self, text: str, marker: str = "- ") -> None:
        """Add a list item, on a line of its own."""
        line = clean(text)
        self._block(marker + line if line else "", _Kind.ITEM)

    def row(self, cells: list[str]) -> None:
        """Add a table row, on a line of its own."""
        cleaned = [clean_line(cell) for cell in cells]
        while cleaned and not cleaned[-1]:
            cleaned.pop()
        self._block(" | ".join(cleaned).lstrip(), _Kind.ROW)

    def code(self, text: str) -> None:
        """Add a block whose spaces and lines mean something."""
        self._block(clean_code(text), _Kind.CODE)

    def begin_page(self) -> None:
        """What is added from now on stands on the next page."""
        self._end_page()
        self._pages.append(PageSpan(len(self._pages) + 1, self._length, self._length))

    def finish(self) -> tuple[str, tuple[PageSpan, ...], tuple[HeadingSpan, ...]]:
        """The text with its pages and headings."""
        self._end_page()
        return self._text.getvalue(), tuple(self._pages), tuple(self._headings)

    def _block(self, text: str, kind: _Kind) -> bool:
        if not text or text.isspace():
            return False
        if self._length:
            self._write("\n" if kind is self._last and kind in _TIGHT else "\n\n")
        self._mark_page()
        self._write(text)
        self._last = kind
        return True

    def _write(self, text: str) -> None:
        self._length += len(text)
        if self._length > self._limit:
            raise InvalidArgumentError(
                "data",
                f"holds more than {self._limit:,} characters of text: split the file",
                reason="TOO_MUCH_TEXT",
            )
        self._text.write(text)

    def _mark_page(self) -> None:
        if self._pages and self._page_start is None:
            self._page_start = self._length

    def _end_page(self) -> None:
        if self._page_start is not None:
            self._pages[-1] = PageSpan(len(self._pages), self._page_start, self._length)
        self._page_start = None
