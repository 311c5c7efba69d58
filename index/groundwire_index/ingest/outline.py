"""The units of a document, and how they make up its paragraphs and sections."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

from groundwire_index.ingest.document import Chunk, ParsedDocument
from groundwire_index.ingest.sections import Section, Sections, common_path
from groundwire_index.ingest.sentences import Span
from groundwire_index.ingest.units import CHARACTERS_PER_TOKEN, Unit

__all__ = ["Outline"]


class Outline:
    """The units of a document by number, from 0, and what they belong to."""

    def __init__(self, document: ParsedDocument, units: list[Unit]) -> None:
        self.units = units
        self.text = document.text
        sections = Sections(document.headings)
        self.top_level = sections.top_level
        self.sections: list[Section] = [sections.at(unit.start) for unit in units]
        self.is_heading = [
            unit.start < section.heading_end
            for unit, section in zip(units, self.sections, strict=True)
        ]
        self._tokens_before = [0, *accumulate(unit.tokens for unit in units)]
        self._paragraph_ends = self._ends(self._new_paragraph)
        self._section_ends = self._ends(self.new_section)
        self._pages = [page for page in document.pages if page.start < page.end]
        self._page_starts = [page.start for page in self._pages]

    def tokens(self, first: int, stop: int) -> int:
        """Tokens of the units from ``first`` to before ``stop``."""
        return self._tokens_before[stop] - self._tokens_before[first]

    def fits(self, first: int, stop: int, largest: int) -> bool:
        """Whether the units may be one chunk, as far as their single sizes tell."""
        characters = self.units[stop - 1].end - self.units[first].start
        return self.tokens(first, stop) <= largest and characters <= largest * CHARACTERS_PER_TOKEN

    def paragraph_end(self, unit: int) -> int:
        """Where the paragraph of a unit stops."""
        return self._paragraph_ends[unit]

    def section_end(self, unit: int) -> int:
        """Where the section of a unit stops."""
        return self._section_ends[unit]

    def new_section(self, unit: int) -> bool:
        """Whether a unit, not the first, is in another section than the one before."""
        return self.sections[unit] is not self.sections[unit - 1]

    def span(self, first: int, stop: int) -> Span:
        """The text of the units from ``first`` to before ``stop``."""
        return Span(self.units[first].start, self.units[stop - 1].end)

    def chunk(self, ordinal: int, first: int, stop: int, tokens: int) -> Chunk:
        """The chunk of the units from ``first`` to before ``stop``."""
        start, end = self.span(first, stop)
        return Chunk(
            ordinal=ordinal,
            text=self.text[start:end],
            start=start,
            end=end,
            page=self._page(start),
            last_page=self._page(end - 1),
            headings=self._headings(first, stop),
            token_count=tokens,
        )

    def _new_paragraph(self, unit: int) -> bool:
        gap = self.text[self.units[unit - 1].end : self.units[unit].start]
        return "\n\n" in gap or self.new_section(unit)

    def _headings(self, first: int, stop: int) -> tuple[str, ...]:
        under = [
            section
            for section, heading in zip(
                self.sections[first:stop], self.is_heading[first:stop], strict=True
            )
            if not heading
        ]
        return common_path(under or self.sections[stop - 1 : stop])

    def _page(self, position: int) -> int | None:
        if not self._pages:
            return None
        return self._pages[max(0, bisect_right(self._page_starts, position) - 1)].number

    def _ends(self, begins: Callable[[int], bool]) -> list[int]:
        ends = [len(self.units)] * len(self.units)
        for unit in range(len(self.units) - 2, -1, -1):
            ends[unit] = unit + 1 if begins(unit + 1) else ends[unit + 1]
        return ends
