"""DOCX to blocks.

A DOCX is an archive of XML files. They are read as a stream of tags, one part at a time, so
what a file costs is bounded before it is unpacked, and no tree of it is built.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest.archive import Archive, open_archive
from groundwire_index.ingest.docx_styles import (
    ListLevel,
    Numbering,
    Styles,
    depth,
    local_name,
    value,
)
from groundwire_index.ingest.limits import ParseLimits
from groundwire_index.ingest.text_builder import TextBuilder

__all__ = ["read"]

_OFFICE_DOCUMENT = "/officeDocument"
# Text that was deleted or moved away, a drawing's second rendering, the reading of a glyph,
# and what a paragraph looked like before a change.
_SKIPPED = frozenset(
    {"del", "moveFrom", "Fallback", "rt", "pPrChange", "rPrChange", "numberingChange"}
)
_NO = frozenset({"0", "false", "off"})


def read(data: bytes, out: TextBuilder, limits: ParseLimits) -> str:
    """Add the blocks of a document, its notes last, and return the title it has, or ""."""
    with open_archive(data, limits) as archive, _well_formed():
        main = _main_part(archive)
        folder = posixpath.dirname(main)
        body = _BodyReader(
            out,
            Styles(_tree(archive.read(f"{folder}/styles.xml"))),
            Numbering(_tree(archive.read(f"{folder}/numbering.xml"))),
        )
        for part in (main, f"{folder}/footnotes.xml", f"{folder}/endnotes.xml"):
            if part in archive:
                _stream(archive.blocks(part), body)
        return _title(archive)


@contextmanager
def _well_formed() -> Iterator[None]:
    from lxml import etree  # type: ignore[import-untyped]  # it ships no types

    try:
        yield
    except etree.XMLSyntaxError as error:
        raise InvalidArgumentError(
            "data",
            f"is a damaged DOCX ({error}): open it in a word processor and save it again",
            reason="DAMAGED_DOCX",
        ) from None


def _parser(**options: Any) -> Any:
    from lxml import etree

    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, **options)


def _tree(markup: bytes) -> Any:
    """The root of a small part; no elements if there is none."""
    from lxml import etree

    if not markup:
        return ()
    root = etree.fromstring(markup, _parser())
    if root.getroottree().docinfo.doctype:
        raise _has_doctype()
    return root


def _stream(blocks: Iterable[bytes], target: _BodyReader) -> None:
    parser = _parser(target=target)
    for block in blocks:
        parser.feed(block)
    parser.close()


def _has_doctype() -> InvalidArgumentError:
    return InvalidArgumentError(
        "data",
        "declares XML entities, which no DOCX may: save its content as a new document",
        reason="DECOMPRESSION_BOMB",
    )


def _main_part(archive: Archive) -> str:
    for relationship in _tree(archive.read("_rels/.rels")):
        if relationship.get("Type", "").endswith(_OFFICE_DOCUMENT):
            part = posixpath.normpath(str(relationship.get("Target", "")).lstrip("/"))
            if part in archive and part.startswith("word"):
                return part
    if "word/document.xml" in archive:
        return "word/document.xml"
    raise InvalidArgumentError(
        "data",
        "is a ZIP archive, but no DOCX: unpack it and send the documents in it",
        reason="WRONG_MEDIA_TYPE",
    )


def _title(archive: Archive) -> str:
    for element in _tree(archive.read("docProps/core.xml")):
        if local_name(element.tag) == "title":
            return str(element.text or "")
    return ""


@dataclass(slots=True)
class _Paragraph:
    style: str = ""
    outline: int | None = None
    list_id: str = ""
    list_depth: int = 0
    text: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Table:
    row: list[list[str]] = field(default_factory=list)
    """Cells, each with its paragraphs."""


class _BodyReader:
    """Receives the tags and the text of a part from the parser, in document order."""

    def __init__(self, out: TextBuilder, styles: Styles, numbering: Numbering) -> None:
        self._out = out
        self._styles = styles
        self._numbering = numbering
        self._path: list[str] = []
        self._skipping = 0
        self._hidden = False
        self._below_title = 0
        # Text boxes put paragraphs inside paragraphs, so there may be several at a time.
        self._paragraphs: list[_Paragraph] = []
        self._tables: list[_Table] = []

    def doctype(self, *_: object) -> None:
        raise _has_doctype()

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = local_name(tag)
        if self._skipping or name in _SKIPPED:
            self._skipping += 1
            return
        self._path.append(name)
        match name:
            case "p":
                self._paragraphs.append(_Paragraph())
            case "tbl":
                self._tables.append(_Table())
            case "tc" if self._tables:
                self._tables[-1].row.append([])
            case "r":
                self._hidden = False
            case _ if self._paragraphs:
                self._start_in_paragraph(name, attributes, self._paragraphs[-1])

    def end(self, tag: str) -> None:
        if self._skipping:
            self._skipping -= 1
            return
        self._path.pop()
        match local_name(tag):
            case "p" if self._paragraphs:
                self._end_paragraph(self._paragraphs.pop())
            case "tr" if self._tables:
                self._end_row(self._tables[-1])
            case "tbl" if self._tables:
                self._tables.pop()

    def data(self, text: str) -> None:
        if not self._skipping and not self._hidden and self._paragraphs and self._path[-1] == "t":
            self._paragraphs[-1].text.append(text)

    def comment(self, text: str) -> None:
        """Comments are not read."""

    def pi(self, target: str, data: str | None = None) -> None:
        """Neither are instructions to programs."""

    def close(self) -> None:
        """Every element has ended by now, and with it every block."""

    def _start_in_paragraph(
        self, name: str, attributes: Mapping[str, str], paragraph: _Paragraph
    ) -> None:
        match name:
            case "pStyle":
                paragraph.style = value(attributes)
            case "outlineLvl":
                level = value(attributes)
                paragraph.outline = int(level) + 1 if level in set("012345678") else None
            case "ilvl":
                paragraph.list_depth = depth(value(attributes))
            case "numId":
                paragraph.list_id = value(attributes)
            case "vanish" if self._path[-3:-1] == ["r", "rPr"]:
                self._hidden = value(attributes) not in _NO
            case "tab" if self._path[-2] == "r":
                paragraph.text.append(" ")
            case "br" | "cr" if not self._hidden:
                paragraph.text.append("\n")
            case "noBreakHyphen" if not self._hidden:
                paragraph.text.append("-")

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.text)
        if not text or text.isspace():
            return
        if self._tables and self._tables[-1].row:
            self._tables[-1].row[-1].append(text)
            return
        style = self._styles[paragraph.style]
        listed = (
            ListLevel(paragraph.list_id, paragraph.list_depth)
            if paragraph.list_id
            else style.listed
        )
        level = paragraph.outline or style.outline
        name = style.name.lower()
        if name.startswith("toc "):
            return  # The table of contents repeats the headings.
        if name == "title":
            self._below_title = 1
            self._out.heading(text, 1)
        elif level is not None:
            self._out.heading(text, level + self._below_title)
        elif listed is not None and listed.list_id != "0":
            self._out.item(text, self._numbering.marker(listed))
        else:
            self._out.paragraph(text)

    def _end_row(self, table: _Table) -> None:
        cells, table.row = table.row, []
        if len(self._tables) > 1:
            outer = self._tables[-2].row
            if outer:
                outer[-1].append(", ".join(" ".join(cell) for cell in cells if cell))
        elif len(cells) == 1:
            for text in cells[0]:
                self._out.paragraph(text)
        else:
            self._out.row([" ".join(cell) for cell in cells])
