"""Makes the sample handbook in its four formats from the texts in `source/`.

Run it after a change of a text: `python samples/make_handbook.py`. The same texts give the
same bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import docx
from docx.document import Document as DocxDocument
from markdown_it import MarkdownIt
from markdown_it.token import Token
from reportlab.lib import colors
from reportlab.lib.pagesizes import A5
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import inch
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

HERE = Path(__file__).parent
MARKDOWN = MarkdownIt("commonmark").enable("table")
# The oldest time that a ZIP entry can carry.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)

# So that five columns of a table fit on a page without breaking words.
MARGIN = 0.75 * inch
CELL = ParagraphStyle("Cell", fontName="Helvetica", fontSize=8, leading=10)

FORMATS = {
    "01-the-observatory": "md",
    "02-telescopes-and-instruments": "pdf",
    "03-observing-time": "docx",
    "04-night-operations": "pdf",
    "05-safety": "html",
    "06-data-archive": "html",
    "07-visitors": "md",
    "08-people-and-services": "docx",
}


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 or 2."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph, or an item of a list."""

    text: str
    bullet: bool


@dataclass(frozen=True)
class Rows:
    """A table; its first row is the head."""

    rows: tuple[tuple[str, ...], ...]


Block = Heading | Text | Rows


def blocks(source: str) -> Iterator[Block]:
    """Read the subset of Markdown that the sources use."""
    tokens = MARKDOWN.parse(source)
    bullet = False
    rows: list[list[str]] = []
    for before, token in zip([Token("", "", 0), *tokens], tokens, strict=False):
        match token.type:
            case "bullet_list_open" | "bullet_list_close":
                bullet = token.type.endswith("open")
            case "tr_open":
                rows.append([])
            case "table_close":
                yield Rows(tuple(map(tuple, rows)))
                rows = []
            case "inline" if before.type == "heading_open":
                yield Heading(int(before.tag[1]), token.content)
            case "inline" if before.type in ("th_open", "td_open"):
                rows[-1].append(token.content)
            case "inline":
                yield Text(token.content, bullet)


def markdown(source: str) -> bytes:
    """The source as it is."""
    return source.encode()


def html(source: str) -> bytes:
    """A page with the navigation and the footer that real pages have."""
    title = next(block.text for block in blocks(source) if isinstance(block, Heading))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n<style>body {{ max-width: 40em; margin: auto }}</style>\n"
        "</head>\n<body>\n"
        '<nav><a href="index.html">Handbook</a> | <a href="search.html">Search</a></nav>\n'
        f"<main>\n{MARKDOWN.render(source)}</main>\n"
        "<footer>Marrick Astronomical Trust</footer>\n</body>\n</html>\n"
    ).encode()


def pdf(source: str) -> bytes:
    """Small pages, so that the sources have several."""
    styles = getSampleStyleSheet()
    story: list[object] = []
    title = ""
    for block in blocks(source):
        match block:
            case Heading(level, text):
                title = title or text
                story.append(Paragraph(text, styles[f"Heading{level}"]))
            case Text(text, bullet):
                style = styles["Bullet" if bullet else "BodyText"]
                story.append(Paragraph(text, style, bulletText="\u2022" if bullet else None))
            case Rows(rows):
                cells = [[Paragraph(cell, CELL) for cell in row] for row in rows]
                grid = TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.grey)])
                story += [Spacer(1, 6), Table(cells, style=grid)]
    out = io.BytesIO()
    SimpleDocTemplate(
        out,
        pagesize=A5,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        title=title,
        author="Marrick Astronomical Trust",
        invariant=True,
    ).build(story)
    return out.getvalue()


def word(source: str) -> bytes:
    """A document with Word's own heading, list and table styles."""
    document = docx.Document()
    for block in blocks(source):
        match block:
            case Heading(level, text):
                document.add_heading(text, level)
            case Text(text, bullet):
                document.add_paragraph(text, style="List Bullet" if bullet else None)
            case Rows(rows):
                table = document.add_table(rows=0, cols=len(rows[0]), style="Table Grid")
                for row in rows:
                    for cell, text in zip(table.add_row().cells, row, strict=True):
                        cell.text = text
    set_properties(document, next(b.text for b in blocks(source) if isinstance(b, Heading)))
    out = io.BytesIO()
    document.save(out)
    return timeless(out.getvalue())


def set_properties(document: DocxDocument, title: str) -> None:
    """Put ours in place of the template's."""
    properties = document.core_properties
    properties.title, properties.author = title, "Marrick Astronomical Trust"
    properties.created = properties.modified = datetime(2024, 1, 1)


def timeless(archive: bytes) -> bytes:
    """The same ZIP file without the time of its making."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name, ZIP_TIME), old.read(name), zipfile.ZIP_DEFLATED)
    return out.getvalue()


MAKERS: dict[str, Callable[[str], bytes]] = {
    "md": markdown,
    "html": html,
    "pdf": pdf,
    "docx": word,
}


def main() -> None:
    """Write every file of the handbook."""
    for stem, suffix in FORMATS.items():
        source = (HERE / "source" / f"{stem}.md").read_text()
        (HERE / "handbook" / f"{stem}.{suffix}").write_bytes(MAKERS[suffix](source))


if __name__ == "__main__":
    main()
