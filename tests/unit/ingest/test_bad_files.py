"""A file that cannot be read is refused with its reason and with what to do, at little cost."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from zipfile import ZipFile

import pytest
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest import ParseLimits, parse

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def refusal(
    data: bytes,
    filename: str = "a.txt",
    mime_type: str = "",
    limits: ParseLimits = ParseLimits(),  # noqa: B008  frozen
) -> InvalidArgumentError:
    with pytest.raises(InvalidArgumentError) as caught:
        parse(data, filename=filename, mime_type=mime_type, limits=limits)
    return caught.value


def about(error: InvalidArgumentError) -> tuple[str, str]:
    return error.violations[0].field, error.reason


# --- every format ---


@pytest.mark.parametrize("filename", ["a.txt", "a.pdf", "a.docx", "a.html", "a.md"])
def test_an_empty_file_is_refused(filename: str) -> None:
    assert about(refusal(b"", filename)) == ("data", "EMPTY_FILE")


@pytest.mark.parametrize(
    ("data", "filename"),
    [
        (b" \n\t\n ", "a.txt"),
        (b"\xef\xbb\xbf", "a.txt"),
        ("\u200b\u00a0".encode(), "a.md"),
        (b"---\n", "a.md"),
        (b"<html><script>var a</script><p> </p></html>", "a.html"),
    ],
)
def test_a_file_without_a_word_is_refused(data: bytes, filename: str) -> None:
    assert about(refusal(data, filename)) == ("data", "NO_TEXT")


@pytest.mark.parametrize(
    "filename",
    [
        *("", " ", ".", "..", "../x.txt", "a/b.txt", "/x", "a\\b.txt"),
        *("a\0.txt", "a\n.txt", "\ud800", "x" * 513, "ä" * 257),
    ],
)
def test_a_file_name_with_anything_but_a_name_is_refused(filename: str) -> None:
    assert about(refusal(b"text", filename)) == ("filename", "INVALID_FILENAME")


@pytest.mark.parametrize("filename", ["Größe 10 (final).txt", "..a", "x" * 512, ".hidden"])
def test_other_file_names_are_fine(filename: str) -> None:
    assert parse(b"text", filename=filename).text == "text"


def test_a_file_over_the_size_limit_is_refused() -> None:
    error = refusal(b"x" * 11, limits=ParseLimits(max_bytes=10))
    assert about(error) == ("data", "TOO_LARGE")
    assert "10 bytes" not in error.message
    assert "over 10:" in error.message


@pytest.mark.parametrize("filename", ["a.txt", "a.html", "a.md"])
def test_a_file_over_the_text_limit_is_refused(filename: str) -> None:
    error = refusal(b"word " * 100, filename, limits=ParseLimits(max_text_characters=300))
    assert about(error) == ("data", "TOO_MUCH_TEXT")


# --- types ---


@pytest.mark.parametrize("declared", ["image/png", "application/octet-stream", "nonsense"])
def test_a_type_that_is_not_read_is_refused_and_those_that_are_read_are_named(
    declared: str,
) -> None:
    error = refusal(b"text", mime_type=declared)
    assert about(error) == ("mime_type", "UNSUPPORTED_MEDIA_TYPE")
    assert "text/markdown" in error.message


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (b"just text", "application/pdf"),
        (b"just text", DOCX),
        (b"%PDF-1.7 and so on", "text/plain"),
        (b"%PDF-1.7 and so on", DOCX),
        (b"PK\x03\x04word/document.xml", "text/markdown"),
        (b"PK\x03\x04word/document.xml", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n", "text/html"),
    ],
)
def test_a_type_that_contradicts_the_content_is_refused(data: bytes, declared: str) -> None:
    assert about(refusal(data, mime_type=declared)) == ("mime_type", "WRONG_MEDIA_TYPE")


def test_a_contradiction_is_told_in_words_that_people_use() -> None:
    docx, page = b"PK\x03\x04word/document.xml", b"<html>no</html>"
    assert refusal(docx, mime_type="application/pdf").message == (
        "mime_type: says a PDF (application/pdf), but the content is a DOCX: send the type that "
        "the file has, or leave it out"
    )
    assert refusal(page, "report.docx").message == (
        "data: has the name of a DOCX, but the content is an HTML page: send the file under the "
        "name of what it is"
    )


@pytest.mark.parametrize("filename", ["report.pdf", "report.docx"])
def test_a_name_that_contradicts_the_content_is_refused(filename: str) -> None:
    assert about(refusal(b"<html>no</html>", filename)) == ("data", "WRONG_MEDIA_TYPE")


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\x89PNG\r\n\x1a\n....", "PNG"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", ".doc"),
        (b"{\\rtf1 text}", "RTF"),
        (b"PK\x03\x04....xl/workbook.xml", "ZIP"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_its_name(data: bytes, named: str) -> None:
    error = refusal(data, "file.bin")
    assert about(error) == ("data", "UNSUPPORTED_MEDIA_TYPE")
    assert named in error.message


# --- encodings ---


@pytest.mark.parametrize("filename", ["a.txt", "a.md", "a.html"])
def test_bytes_that_are_no_utf8_are_refused_with_their_place(filename: str) -> None:
    error = refusal(b"H\xc3\xb6he \xff", filename)
    assert about(error) == ("data", "INVALID_ENCODING")
    assert "at byte 6" in error.message


def test_the_place_of_a_wrong_byte_counts_the_byte_order_mark() -> None:
    assert "at byte 4" in refusal(b"\xef\xbb\xbfa\xff").message
    assert "UTF-16-LE at byte 4" in refusal(b"\xff\xfea\0\x00\xdc").message


@pytest.mark.parametrize("charset", ["no-such-charset", "zlib", "unicode_escape"])
def test_an_unknown_charset_of_a_page_is_refused(charset: str) -> None:
    error = refusal(f"<meta charset={charset}><p>x".encode(), "a.html")
    assert about(error) == ("data", "INVALID_ENCODING")
    assert charset in error.message


@pytest.mark.parametrize("data", [b"text\0text", "text".encode("utf-16-le"), bytes(range(32)) * 9])
def test_binary_data_is_not_taken_for_text(data: bytes) -> None:
    assert about(refusal(data)) == ("data", "BINARY_CONTENT")


# --- PDF ---


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_pdf_is_refused(pdf_file: bytes, share: float) -> None:
    error = refusal(pdf_file[: int(len(pdf_file) * share)], "a.pdf")
    assert about(error) == ("data", "TRUNCATED_PDF")


def test_a_pdf_whose_last_revision_is_cut_off_is_refused(pdf_file: bytes) -> None:
    revision = b"\n90 0 obj\n<</Type/Page/Contents 91 0 R>>\nendobj\n91 0 obj\n<<"
    assert about(refusal(pdf_file + revision, "a.pdf")) == ("data", "TRUNCATED_PDF")


def test_a_linearized_pdf_that_ends_early_is_refused(pdf_file: bytes) -> None:
    # It has an end mark near its start, so only the length it promises tells.
    promise = b"%%PDF-1.4\n1 0 obj\n<</Linearized 1/L %d>>\nendobj\n" % (len(pdf_file) * 2)
    assert about(refusal(promise + pdf_file, "a.pdf")) == ("data", "TRUNCATED_PDF")


def test_a_damaged_pdf_is_refused() -> None:
    assert about(refusal(b"%PDF-1.4\nnothing\n%%EOF", "a.pdf")) == ("data", "DAMAGED_PDF")


def test_an_encrypted_pdf_is_refused(draw_pdf: Callable[..., bytes]) -> None:
    error = refusal(draw_pdf(["secret"], password="user", owner="owner"), "a.pdf")
    assert about(error) == ("data", "ENCRYPTED_PDF")
    assert "without a password" in error.message


def test_a_pdf_that_only_restricts_printing_is_read(draw_pdf: Callable[..., bytes]) -> None:
    assert parse(draw_pdf(["open"], owner="owner"), filename="a.pdf").text == "open"


def test_a_pdf_of_pictures_is_refused_and_text_recognition_named(
    draw_pdf: Callable[..., bytes],
) -> None:
    error = refusal(draw_pdf([], []), "a.pdf")
    assert about(error) == ("data", "NO_TEXT")
    assert "OCR" in error.message


def test_a_pdf_over_the_page_or_the_text_limit_is_refused(draw_pdf: Callable[..., bytes]) -> None:
    data = draw_pdf(["one line"], ["one line"], ["one line"])
    assert refusal(data, "a.pdf", limits=ParseLimits(max_pages=2)).reason == "TOO_MANY_PAGES"
    limits = ParseLimits(max_text_characters=20)
    assert refusal(data, "a.pdf", limits=limits).reason == "TOO_MUCH_TEXT"


# --- DOCX ---


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_docx_is_refused(docx_file: bytes, share: float) -> None:
    error = refusal(docx_file[: int(len(docx_file) * share)], "a.docx")
    assert about(error) == ("data", "TRUNCATED_DOCX")


def test_a_damaged_docx_is_refused(docx_file: bytes) -> None:
    name = docx_file.index(b"word/document.xml")
    damaged = bytearray(docx_file)
    damaged[name + 60] ^= 0xFF
    assert about(refusal(bytes(damaged), "a.docx")) == ("data", "DAMAGED_DOCX")


def test_a_docx_with_broken_markup_is_refused(docx_with: Callable[[str], bytes]) -> None:
    assert refusal(docx_with("<w:p>"), "a.docx").reason == "DAMAGED_DOCX"


def test_an_archive_that_is_no_docx_is_refused(
    zipped: Callable[[dict[str, bytes]], bytes],
) -> None:
    data = zipped({"notes.txt": b"text"})
    assert about(refusal(data, "a.docx")) == ("data", "WRONG_MEDIA_TYPE")
    assert about(refusal(data, "a.bin", DOCX)) == ("data", "WRONG_MEDIA_TYPE")
    assert about(refusal(data, "a.zip")) == ("data", "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("name", ["word/document.xml", "word/media/image1.png"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(
    name: str, zipped: Callable[[dict[str, bytes]], bytes]
) -> None:
    data = zipped({"word/document.xml": b"<x/>", name: bytes(64 * 2**20)})
    tracemalloc.start()
    try:
        error = refusal(data, "a.docx")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert about(error) == ("data", "DECOMPRESSION_BOMB")
    assert peak < 2**20


def test_markup_that_unpacks_past_its_limit_is_refused(
    docx_with: Callable[[str], bytes],
) -> None:
    data = docx_with("<w:p><w:r><w:t>a</w:t></w:r></w:p>" * 10_000)
    limits = ParseLimits(max_markup_bytes=100_000)
    assert refusal(data, "a.docx", limits=limits).reason == "DECOMPRESSION_BOMB"


def test_an_archive_that_lies_about_its_sizes_is_not_unpacked_further(
    zipped: Callable[[dict[str, bytes]], bytes],
) -> None:
    content = bytes(8 * 2**20)
    data = zipped({"word/document.xml": content})
    lying = data.replace(struct.pack("<I", len(content)), struct.pack("<I", 100))
    tracemalloc.start()
    try:
        error = refusal(lying, "a.docx")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.reason == "DAMAGED_DOCX"
    assert peak < 2**20


def test_an_archive_of_very_many_files_is_refused(
    zipped: Callable[[dict[str, bytes]], bytes],
) -> None:
    data = zipped({f"word/{number}.xml": b"" for number in range(50)})
    limits = ParseLimits(max_archive_entries=40)
    assert refusal(data, "a.docx", limits=limits).reason == "DECOMPRESSION_BOMB"
    # So many that the directory itself is not even read.
    assert refusal(data, "a.docx", limits=replace(limits, max_archive_entries=1)).reason == (
        "DECOMPRESSION_BOMB"
    )


def test_entities_in_a_docx_are_refused(docx_with: Callable[..., bytes]) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    data = docx_with("<w:p><w:r><w:t>&b;&b;</w:t></w:r></w:p>", prolog=bomb)
    assert about(refusal(data, "a.docx")) == ("data", "DECOMPRESSION_BOMB")


def test_entities_in_a_side_part_of_a_docx_are_refused(
    zipped: Callable[[dict[str, bytes]], bytes],
) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><x><y>&a;</y></x>'
    data = zipped({"word/document.xml": b"<x/>", "word/styles.xml": bomb})
    assert about(refusal(data, "a.docx")) == ("data", "DECOMPRESSION_BOMB")


def test_an_encrypted_entry_of_a_docx_is_refused(docx_file: bytes) -> None:
    out = BytesIO(docx_file)
    with ZipFile(out) as archive:
        directory = archive.start_dir
    encrypted = bytearray(docx_file)
    encrypted[directory + 8] |= 1
    assert about(refusal(bytes(encrypted), "a.docx")) == ("data", "ENCRYPTED_DOCX")


# --- what is merely extreme is read ---


def test_a_page_nested_a_hundred_thousand_deep_is_read() -> None:
    data = b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000
    assert parse(data, filename="a.html").text == "deep"


@pytest.mark.parametrize("hard", ["[" * 200_000, "![[" * 100_000, "a**" * 100_000])
def test_markdown_that_is_slow_to_read_is_taken_as_it_stands(hard: str) -> None:
    assert parse(hard.encode(), filename="a.md").text == hard


def test_deeply_nested_markdown_is_read() -> None:
    data = b"start\n\n" + b"> " * 50_000 + b"x\n\n" + b"- " * 40 + b"end"
    assert parse(data, filename="a.md").text == "start\n\n- end"


@pytest.mark.parametrize("filename", ["a.txt", "a.html", "a.md"])
def test_ten_megabytes_without_a_space_are_read(filename: str) -> None:
    assert len(parse(b"a" * 10_000_000, filename=filename).text) == 10_000_000


def test_a_run_of_combining_marks_is_read() -> None:
    data = ("a" + "\u0327\u0300\u0316" * 100_000).encode()
    assert len(parse(data, filename="a.txt").text) > 290_000
