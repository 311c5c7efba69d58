"""HTML to blocks, as a stream of tags: no tree is built, so no nesting is too deep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from groundwire_index.ingest.encoding import decode_html
from groundwire_index.ingest.limits import ParseLimits
from groundwire_index.ingest.text_builder import TextBuilder

__all__ = ["read", "read_fragment"]

_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Not part of what someone reads on the page.
_SKIPPED = _names(
    "script style noscript template nav svg math iframe object canvas audio video select textarea"
    " button datalist noframes"
)
_BLOCKS = _HEADINGS.keys() | _names(
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset"
    " figcaption figure footer form head header hgroup hr html legend li main ol p pre search"
    " section summary table tbody td tfoot th thead tr ul"
)
# A footer inside one of these belongs to it; outside, it is the one that every page repeats.
_OWN_FOOTER = _names("article blockquote section")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_WHITE_SPACE = re.compile(r"[ \t\r\n\f]+")
_FEED = 65_536


def read(data: bytes, out: TextBuilder, limits: ParseLimits) -> str:
    """Add the blocks of a page and return its title, or ""."""
    del limits  # Of all that the parser keeps, only the text grows, and the builder bounds it.
    return read_fragment(decode_html(data), out)


def read_fragment(markup: str, out: TextBuilder) -> str:
    """Add the blocks of a piece of a page and return the title in it, or ""."""
    from lxml import etree  # type: ignore[import-untyped]  # it ships no types

    reader = _PageReader(out)
    parser = etree.HTMLParser(target=reader)
    for start in range(0, len(markup), _FEED):
        parser.feed(markup[start : start + _FEED])
    if markup:
        parser.close()
    return reader.title


@dataclass(slots=True)
class _Table:
    row: list[str] = field(default_factory=list)
    cell: list[str] | None = None
    layout: bool = False
    """It only places other things on the page, so its cells are no cells."""


class _PageReader:
    """Receives tags and text from the parser, in document order."""

    def __init__(self, out: TextBuilder) -> None:
        self.title = ""
        self._out = out
        self._inline: list[str] = []
        self._skipping = 0
        self._owners_of_footers = 0
        self._preformatted = 0
        self._in_title = False
        self._heading = 0
        self._marker = ""
        self._term = ""
        self._lists: list[int | None] = []
        self._tables: list[_Table] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._skipping or self._is_skipped(tag) or _is_hidden(attributes):
            self._skipping += 1
        elif tag == "br":
            self._inline.append("\n")
        elif tag == "title":
            self._in_title = True
        elif tag in _BLOCKS:
            self._flush()
            self._open(tag, attributes)

    def end(self, tag: str) -> None:
        if self._skipping:
            self._skipping -= 1
        elif tag == "title":
            self._in_title = False
        elif tag in _BLOCKS:
            if tag == "dt":
                self._keep_term()
            self._flush()
            self._close(tag)

    def data(self, text: str) -> None:
        if self._skipping:
            return
        if self._in_title:
            self.title += text
        else:
            self._inline.append(text if self._preformatted else _WHITE_SPACE.sub(" ", text))

    def comment(self, text: str) -> None:
        """Comments are not read."""

    def pi(self, target: str, data: str | None = None) -> None:
        """Neither are instructions to programs."""

    def close(self) -> None:
        self._flush()

    def _is_skipped(self, tag: str) -> bool:
        return tag in _SKIPPED or (tag == "footer" and not self._owners_of_footers)

    def _open(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in _OWN_FOOTER:
            self._owners_of_footers += 1
        elif tag in _HEADINGS:
            self._heading = _HEADINGS[tag]
            self._lay_out()
        elif tag == "pre":
            self._preformatted += 1
        elif tag in ("ul", "ol"):
            self._lists.append(_first_number(attributes) if tag == "ol" else None)
        elif tag == "li":
            self._marker = self._next_marker()
        elif tag == "dd":
            self._marker = f"- {self._term}: " if self._term else "- "
            self._term = ""
        elif tag == "table":
            self._lay_out()
            self._tables.append(_Table())
        elif tag in ("td", "th") and self._tables and not self._tables[-1].layout:
            self._tables[-1].cell = []

    def _close(self, tag: str) -> None:
        if tag in _OWN_FOOTER:
            self._owners_of_footers -= 1
        elif tag in _HEADINGS:
            self._heading = 0
        elif tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        elif tag in ("ul", "ol", "dl"):
            self._end_list(tag)
        elif tag in ("li", "dd"):
            self._marker = ""
        elif self._tables and tag in ("td", "th"):
            self._end_cell(self._tables[-1])
        elif self._tables and tag in ("tr", "table"):
            self._end_row(self._tables[-1])
            if tag == "table":
                self._tables.pop()

    def _flush(self) -> None:
        """What was read since the last block began or ended is a block."""
        text = "".join(self._inline)
        self._inline.clear()
        if not text or text.isspace():
            return
        if self._tables and self._tables[-1].cell is not None:
            self._tables[-1].cell.append(text)
        elif self._heading:
            self._out.heading(text, self._heading)
        elif self._preformatted:
            self._out.code(text)
        elif self._marker:
            self._out.item(text, self._marker)
            self._marker = ""
        else:
            self._out.paragraph(text)

    def _keep_term(self) -> None:
        term = "".join(self._inline).strip()
        self._inline.clear()
        self._term = f"{self._term}, {term}" if self._term else term

    def _next_marker(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return "- "
        self._lists[-1] = number + 1
        return f"{number}. "

    def _end_list(self, tag: str) -> None:
        if tag != "dl" and self._lists:
            self._lists.pop()
        self._out.item(self._term)
        self._term = ""

    def _end_cell(self, table: _Table) -> None:
        if table.cell is not None:
            table.row.append(" ".join(table.cell))
        table.cell = None

    def _end_row(self, table: _Table) -> None:
        self._end_cell(table)
        self._out.row(table.row)
        table.row = []

    def _lay_out(self) -> None:
        """A heading or a table in a cell shows that the table around it holds no data."""
        for table in self._tables[-1:]:
            self._end_cell(table)
            for cell in table.row:
                self._out.paragraph(cell)
            table.row = []
            table.layout = True


def _is_hidden(attributes: Mapping[str, str]) -> bool:
    return bool(attributes) and (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role") == "navigation"
        or _HIDDEN_STYLE.search(attributes.get("style", "")) is not None
    )


def _first_number(attributes: Mapping[str, str]) -> int:
    start = attributes.get("start", "1")
    return int(start) if re.fullmatch(r"-?\d{1,9}", start, re.ASCII) else 1
