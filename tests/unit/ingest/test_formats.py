"""Every format gives the same kind of text: blocks, lines for items and rows, headings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from groundwire_index.ingest import ParsedDocument, parse
from reportlab.lib.pagesizes import A5
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    PageTemplate,
    Paragraph,
    SimpleDocTemplate,
    Table,
    TableStyle,
)

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def headings(document: ParsedDocument) -> list[tuple[int, str]]:
    for heading in document.headings:
        assert document.text[heading.start : heading.end] == heading.text
    return [(heading.level, heading.text) for heading in document.headings]


def blocks(document: ParsedDocument) -> list[str]:
    return document.text.split("\n\n")


def parse_html(markup: str) -> ParsedDocument:
    return parse(markup.encode(), filename="page.html")


def parse_markdown(markup: str) -> ParsedDocument:
    return parse(markup.encode(), filename="page.md")


def parse_text(text: str) -> ParsedDocument:
    return parse(text.encode(), filename="notes.txt")


# --- PDF ---


def test_a_pdf_gives_its_headings_paragraphs_rows_and_items(pdf_file: bytes) -> None:
    document = parse(pdf_file, filename="handbook.pdf")
    assert document.mime_type == PDF
    assert document.title == "The Handbook"
    assert headings(document) == [
        (1, "Instruments"),
        (2, "Limits"),
        (1, "Procedures"),
        (1, "Contacts"),
    ]
    found = blocks(document)
    assert found[1].endswith("light of the day. The mirror is 3.5 m wide.")
    assert "\n" not in found[1]
    assert found[2:] == [
        "Its coating was renewed in 2019.",
        "Limits",
        "Dome | Wind limit\nNorth | 18 m/s",
        "Procedures",
        "1. Close the shutter.\n2. Tell the night assistant.",
        "Contacts",
        "Marta Quist answers the telephone.",
    ]


def test_the_pages_of_a_pdf_are_where_their_text_is(pdf_file: bytes) -> None:
    document = parse(pdf_file, filename="handbook.pdf")
    texts = [document.text[page.start : page.end] for page in document.pages]
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert texts[0].startswith("Instruments")
    assert texts[0].endswith("18 m/s")
    assert texts[1].startswith("Procedures")
    assert texts[2] == "Contacts\n\nMarta Quist answers the telephone."


def test_running_heads_and_page_numbers_of_a_pdf_are_left_out(pdf_file: bytes) -> None:
    document = parse(pdf_file, filename="handbook.pdf")
    assert "station" not in document.text
    assert "of 3" not in document.text


def test_words_divided_at_the_end_of_a_line_or_page_are_put_together(
    draw_pdf: Callable[..., bytes],
) -> None:
    data = draw_pdf(
        ["The tele-", "scope of Smith-", "Jones is a wide-", "field one: wide-field cam-"],
        ["eras are rare."],
        [],
    )
    document = parse(data, filename="words.pdf")
    assert document.text == (
        "The telescope of Smith-Jones is a wide-field one: wide-field cameras are rare."
    )
    pages = [document.text[page.start : page.end] for page in document.pages]
    assert pages[1:] == ["eras are rare.", ""]


def test_cells_of_several_lines_stay_cells() -> None:
    small = ParagraphStyle("Cell", fontSize=8, leading=10)
    rows = [
        ["Dome", "Instrument", "Limit"],
        ["North", "long-slit spectrograph of low resolution", "18 metres per second"],
        ["South and south-east", "camera", "14 metres per second, measured on the mast"],
    ]
    cells = [[Paragraph(cell, small) for cell in row] for row in rows]
    for alignment in ("TOP", "MIDDLE", "BOTTOM"):
        table = Table(cells, colWidths=[70, 90, 90])
        table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), alignment)]))
        out = BytesIO()
        SimpleDocTemplate(out, invariant=1).build([table])
        document = parse(out.getvalue(), filename="a.pdf")
        assert document.text == "\n".join(" | ".join(row) for row in rows)


def test_columns_of_text_are_read_one_after_the_other() -> None:
    style = getSampleStyleSheet()["BodyText"]
    short = [f"Paragraph {number} of the first column." for number in range(8)]
    long = ("the last words of a column and the first ones of the next " * 40).strip()
    out = BytesIO()
    document = BaseDocTemplate(out, pagesize=A5, invariant=1)
    document.addPageTemplates(PageTemplate(frames=[Frame(x, 40, 160, 500) for x in (30, 220)]))
    document.build([Paragraph(text, style) for text in (*short, long)])
    assert blocks(parse(out.getvalue(), filename="a.pdf")) == [*short, long]


def test_pdfs_are_read_from_many_threads_at_once(pdf_file: bytes) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = pool.map(lambda _: parse(pdf_file, filename="a.pdf").text, range(24))
    assert len(set(texts)) == 1


# --- DOCX ---


def test_a_docx_gives_its_headings_paragraphs_rows_and_items(docx_file: bytes) -> None:
    document = parse(docx_file, filename="handbook.docx")
    assert document.mime_type == DOCX
    assert document.title == "The Handbook"
    assert document.pages == ()
    assert headings(document) == [
        (1, "Station handbook"),
        (2, "Instruments"),
        (3, "Limits"),
        (2, "Procedures"),
    ]
    assert blocks(document)[2:] == [
        "The mirror is 3.5 m wide.",
        "- a spectrograph\n- a camera",
        "Limits",
        "Dome | Wind limit\nNorth | 18 m/s",
        "Procedures",
        "1. Close the shutter.\n2. Tell the night assistant.",
        "Station road 1\nNorth plateau",
    ]


def test_what_a_docx_does_not_show_is_not_read(docx_with: Callable[[str], bytes]) -> None:
    data = docx_with(
        "<w:p><w:r><w:t>Shown</w:t></w:r>"
        "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
        "<w:ins><w:r><w:t> and added</w:t></w:r></w:ins>"
        '<w:r><w:rPr><w:vanish w:val="false"/></w:rPr><w:t>.</w:t></w:r></w:p>'
    )
    assert parse(data, filename="a.docx").text == "Shown and added."


def test_text_boxes_and_nested_tables_of_a_docx_are_read(
    docx_with: Callable[[str], bytes],
) -> None:
    def paragraph(text: str) -> str:
        return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"

    inner = (
        f"<w:tbl><w:tr><w:tc>{paragraph('x')}</w:tc><w:tc>{paragraph('y')}</w:tc></w:tr></w:tbl>"
    )
    data = docx_with(
        "<w:p><w:r><w:t>Around</w:t></w:r><w:r><w:txbxContent>"
        + paragraph("In a box")
        + "</w:txbxContent></w:r></w:p>"
        + f"<w:tbl><w:tr><w:tc>{paragraph('a')}</w:tc><w:tc>{inner}</w:tc></w:tr></w:tbl>"
    )
    assert blocks(parse(data, filename="a.docx")) == ["In a box", "Around", "a | x, y"]


def test_nested_lists_of_a_docx_are_numbered_as_a_word_processor_does(
    zipped: Callable[[dict[str, bytes]], bytes],
) -> None:
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    levels = "".join(
        f'<w:lvl w:ilvl="{depth}"><w:numFmt w:val="{style}"/></w:lvl>'
        for depth, style in enumerate(("decimal", "decimal", "bullet"))
    )
    numbering = (
        f'<w:numbering {space}><w:abstractNum w:abstractNumId="7">{levels}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num></w:numbering>'
    )
    items = "".join(
        f'<w:p><w:pPr><w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="{number}"/></w:numPr>'
        f"</w:pPr><w:r><w:t>at {depth}</w:t></w:r></w:p>"
        for depth, number in ((0, 1), (1, 1), (1, 1), (2, 1), (0, 1), (1, 1), (0, 0))
    )
    body = f"<w:document {space}><w:body>{items}</w:body></w:document>"
    data = zipped({"word/document.xml": body.encode(), "word/numbering.xml": numbering.encode()})
    assert parse(data, filename="a.docx").text == (
        "1. at 0\n1. at 1\n2. at 1\n- at 2\n2. at 0\n1. at 1\n\nat 0"
    )


# --- HTML ---


def test_a_page_gives_its_headings_paragraphs_rows_and_items() -> None:
    document = parse_html(
        "<html><head><title>The &amp; Handbook</title></head><body><h1>In<b>struments</b></h1>"
        "<p>The mirror\n is <i>3.5&nbsp;m</i> wide.<br>It was new.</p>"
        "<ul><li>a spectrograph<li><p>a camera</p></ul><ol start=3><li>three</li><li>four</li></ol>"
        "<dl><dt>Dome<dd>closes at 18 m/s</dl>"
        "<h2>Limits</h2>"
        "<table><tr><th>Dome<th>Limit</tr><tr><td>North<td><p>18 m/s</p></tr></table>"
        "<pre>if wind:\n    close()</pre>The end"
    )
    assert document.mime_type == "text/html"
    assert document.title == "The & Handbook"
    assert headings(document) == [(1, "Instruments"), (2, "Limits")]
    assert blocks(document)[1:] == [
        "The mirror is 3.5 m wide.\nIt was new.",
        "- a spectrograph\n- a camera\n3. three\n4. four\n- Dome: closes at 18 m/s",
        "Limits",
        "Dome | Limit\nNorth | 18 m/s",
        "if wind:\n    close()",
        "The end",
    ]


def test_what_a_page_does_not_show_is_not_read() -> None:
    document = parse_html(
        "<p>Shown</p><script>var a = '<p>no</p>'</script><style>p {}</style><nav>menu</nav>"
        "<!-- note --><div hidden>no<p>no</p></div><p style='Display: none'>no</p>"
        "<span aria-hidden=true>no</span><template><p>no</p></template><p>also</p>"
        "<article><footer>By Ada</footer></article><footer>Imprint</footer>"
    )
    assert document.text == "Shown\n\nalso\n\nBy Ada"


def test_a_table_that_lays_out_a_page_is_not_taken_for_data() -> None:
    document = parse_html(
        "<table><tr><td>Menu</td><td><h1>Domes</h1><p>Open at dusk.</p>"
        "<table><tr><td>North</td><td>18 m/s</td></tr></table></td></tr></table>"
    )
    assert blocks(document) == ["Menu", "Domes", "Open at dusk.", "North | 18 m/s"]
    document = parse_html(
        "<table><tr><td>Menu</td><td>Domes<table><tr><td>North<td>18 m/s</table></table>"
    )
    assert blocks(document) == ["Menu", "Domes", "North | 18 m/s"]


@pytest.mark.parametrize(
    ("encoding", "declaration"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("latin-1", '<meta charset="iso-8859-1">'),
        ("cp1252", '<meta http-equiv="Content-Type" content="text/html; charset=windows-1252">'),
        ("shift_jis", "<meta charset=Shift_JIS>"),
    ],
)
def test_the_charset_of_a_page_is_honoured(encoding: str, declaration: str) -> None:
    words = "天文台" if encoding == "shift_jis" else "Höhe: 3°"
    data = f"<html>{declaration}<p>{words}</p></html>".encode(encoding)
    assert parse(data, filename="page.html").text == words


# --- Markdown ---


def test_markdown_gives_its_headings_paragraphs_rows_and_items() -> None:
    document = parse_markdown(
        '---\ntitle: "The Handbook"\n---\n# In*struments*\n\n'
        "The mirror is\n**3.5 m** [wide](x).  \n"
        "It was new.\n\n- a `spectrograph`\n- a camera\n\n3. three\n4. four\n\nLimits\n------\n\n"
        "| Dome | Limit |\n|---|---|\n| North | 18 m/s |\n\n```\nif wind:\n    close()\n```\n"
        "<div>A <b>note</b></div>\n"
    )
    assert document.mime_type == "text/markdown"
    assert document.title == "The Handbook"
    assert headings(document) == [(1, "Instruments"), (2, "Limits")]
    assert blocks(document)[1:] == [
        "The mirror is 3.5 m wide.\nIt was new.",
        "- a spectrograph\n- a camera\n3. three\n4. four",
        "Limits",
        "Dome | Limit\nNorth | 18 m/s",
        "if wind:\n    close()",
        "A note",
    ]


# --- plain text ---


def test_wrapped_lines_of_a_text_are_put_together_and_others_are_not() -> None:
    document = parse_text(
        "The observatory stands on a plateau, far from the towns of the\n"
        "coast, and has been run by the same four families since it was\n"
        "built.\r\n\r\n- close the shutter\n- leave\n\nStation road 1\nNorth plateau\n"
    )
    assert blocks(document) == [
        "The observatory stands on a plateau, far from the towns of the coast, and has been run by "
        "the same four families since it was built.",
        "- close the shutter\n- leave",
        "Station road 1\nNorth plateau",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_in_every_unicode_encoding(encoding: str) -> None:
    assert parse("Höhe 天".encode(encoding), filename="a.txt").text == "Höhe 天"


def test_text_is_one_kind_of_space_and_nothing_invisible() -> None:
    document = parse_text(
        "e\u0301tat\u00a0 du\tciel \u200bof\ufb01ce\u202e\u2028a\x07b\U000e0041 so\xadlar"
    )
    assert document.text == "état du ciel office\nab solar"


# --- titles and types ---


@pytest.mark.parametrize(
    ("filename", "text", "title"),
    [
        ("wind-limits.txt", "Some text.", "wind-limits"),
        ("wind.md", "Intro\n\n## Limits\n\n# Other", "Limits"),
        ("wind.html", "<title>\n The  page </title><h1>Limits</h1>", "The page"),
        ("wind.html", "<title> </title><h1>Limits</h1>", "Limits"),
    ],
)
def test_the_title_is_that_of_the_file_else_a_heading_else_the_name(
    filename: str, text: str, title: str
) -> None:
    assert parse(text.encode(), filename=filename).title == title


@pytest.mark.parametrize(
    ("filename", "declared", "expected"),
    [
        ("page", "", "text/html"),
        ("page.txt", "", "text/plain"),
        ("page.dat", "", "text/html"),
        ("page.md", "", "text/markdown"),
        ("page.txt", "text/html; charset=utf-8", "text/html"),
        ("page.html", "text/plain", "text/plain"),
        ("page.xyz", "application/xhtml+xml", "text/html"),
    ],
)
def test_the_type_is_what_is_declared_else_follows_from_name_and_content(
    filename: str, declared: str, expected: str
) -> None:
    data = b"<!DOCTYPE html><p>text</p>"
    assert parse(data, filename=filename, mime_type=declared).mime_type == expected


@pytest.mark.parametrize("name", ["scan", "scan.pdf"])
def test_a_pdf_and_a_docx_are_known_by_their_content(
    name: str, pdf_file: bytes, docx_file: bytes
) -> None:
    assert parse(pdf_file, filename=name).mime_type == PDF
    assert parse(docx_file, filename="report").mime_type == DOCX


def test_format_libraries_are_imported_when_they_are_needed() -> None:
    check = (
        "import sys; from groundwire_index.ingest import parse; parse(b'a', filename='a.txt');"
        "print(sorted({'pypdfium2', 'lxml', 'markdown_it', 'docx', 'bs4'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
