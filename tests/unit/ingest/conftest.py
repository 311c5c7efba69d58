"""Files of every format, made by the programs that make such files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import docx
import pytest
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate, Table

PROSE = "The quick northern wind moves over the plateau before the first light of the day. " * 6


@pytest.fixture(scope="session")
def pdf_file() -> bytes:
    """Three pages with headings, wrapped prose, a table, a list, and running lines on each."""
    styles = getSampleStyleSheet()
    body, first, second = styles["BodyText"], styles["Heading1"], styles["Heading2"]
    story: list[Flowable] = [
        Paragraph("Instruments", first),
        Paragraph(PROSE + "The mirror is 3.5 m wide.", body),
        Paragraph("Its coating was renewed in 2019.", body),
        Paragraph("Limits", second),
        Table([["Dome", "Wind limit"], ["North", "18 m/s"]], colWidths=[120, 120]),
        PageBreak(),
        Paragraph("Procedures", first),
        Paragraph("Close the shutter.", body, bulletText="1."),
        Paragraph("Tell the night assistant.", body, bulletText="2."),
        PageBreak(),
        Paragraph("Contacts", first),
        Paragraph("Marta Quist answers the telephone.", body),
    ]

    def running(canvas: Canvas, document: SimpleDocTemplate) -> None:
        canvas.drawString(72, 815, "Handbook of the station")
        canvas.drawRightString(520, 25, f"Page {document.page} of 3")

    out = BytesIO()
    document = SimpleDocTemplate(out, pagesize=A4, title="The Handbook", invariant=1)
    document.build(story, onFirstPage=running, onLaterPages=running)
    return out.getvalue()


@pytest.fixture(scope="session")
def draw_pdf() -> Callable[..., bytes]:
    """Draws the given lines of each page; without any, a picture of text."""

    def draw(*pages: Sequence[str], password: str = "", owner: str = "") -> bytes:
        out = BytesIO()
        encryption = StandardEncryption(password, owner) if password or owner else None
        canvas = Canvas(out, invariant=1, encrypt=encryption)
        for lines in pages:
            for number, line in enumerate(lines):
                canvas.drawString(72, 700 - 14 * number, line)
            if not lines:
                canvas.rect(72, 600, 200, 100)
            canvas.showPage()
        canvas.save()
        return out.getvalue()

    return draw


@pytest.fixture(scope="session")
def docx_file() -> bytes:
    """A document with a title, headings, lists, a table and a line break."""
    document = docx.Document()
    document.core_properties.title = "The Handbook"
    document.add_heading("Station handbook", 0)
    document.add_heading("Instruments", 1)
    document.add_paragraph("The mirror is 3.5 m wide.")
    document.add_paragraph("a spectrograph", style="List Bullet")
    document.add_paragraph("a camera", style="List Bullet")
    document.add_heading("Limits", 2)
    table = document.add_table(2, 2)
    for row, cells in zip(table.rows, (("Dome", "Wind limit"), ("North", "18 m/s")), strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    document.add_heading("Procedures", 1)
    document.add_paragraph("Close the shutter.", style="List Number")
    document.add_paragraph("Tell the night assistant.", style="List Number")
    document.add_paragraph("Station road 1\nNorth plateau")
    out = BytesIO()
    document.save(out)
    return out.getvalue()


@pytest.fixture(scope="session")
def zipped() -> Callable[[dict[str, bytes]], bytes]:
    """Packs files into an archive."""

    def pack(files: dict[str, bytes]) -> bytes:
        out = BytesIO()
        with ZipFile(out, "w", ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return out.getvalue()

    return pack


@pytest.fixture(scope="session")
def docx_with(zipped: Callable[[dict[str, bytes]], bytes]) -> Callable[[str], bytes]:
    """Packs the markup of a body into the smallest DOCX there is."""

    def pack(body: str, prolog: str = "") -> bytes:
        space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
        markup = f'{prolog}<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
        return zipped({"word/document.xml": markup.encode()})

    return pack
