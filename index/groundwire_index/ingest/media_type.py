"""Finds out what a file is, and whether it is what it is said to be."""

from __future__ import annotations

import re

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest.filename import extension

__all__ = ["BY_EXTENSION", "DOCX", "HTML", "MARKDOWN", "PDF", "PLAIN", "media_type"]

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML = "text/html"
MARKDOWN = "text/markdown"
PLAIN = "text/plain"

# Each type that is read, as people call a file of it.
_CALLED = {
    PDF: "a PDF",
    DOCX: "a DOCX",
    HTML: "an HTML page",
    MARKDOWN: "Markdown",
    PLAIN: "plain text",
}
_TEXT = (HTML, MARKDOWN, PLAIN)
_ALIASES = {"application/xhtml+xml": HTML, "text/x-markdown": MARKDOWN, "application/x-pdf": PDF}
BY_EXTENSION = {
    ".pdf": PDF,
    ".docx": DOCX,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".txt": PLAIN,
    ".text": PLAIN,
}
_ZIP = "a ZIP archive"
# First bytes of what people send by mistake.
_FOREIGN = (
    (b"PK\x05\x06", _ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file (.doc) or an encrypted DOCX"),
    (b"{\\rtf", "an RTF file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"%!PS", "a PostScript file"),
    (b"SQLite format 3\0", "an SQLite database"),
)
_PDF_HEADER = b"%PDF-"
# Readers of PDF look for the header this far in.
_PDF_WITHIN = 1024
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,1000}?-->\s*)?"
    rb"<(?:!doctype\s+html|html|head|body|title|meta)\b",
    re.IGNORECASE | re.DOTALL,
)


def media_type(data: bytes, filename: str, declared: str = "") -> str:
    """The type a file is read as: what is declared, else what the content and the name say.

    Raises InvalidArgumentError: UNSUPPORTED_MEDIA_TYPE for a type that is not read here, and
    WRONG_MEDIA_TYPE if the content contradicts what was declared or what the name says.
    """
    wanted = _supported(declared) if declared else BY_EXTENSION.get(extension(filename), "")
    found = _by_content(data)
    if wanted and not _agree(wanted, found, data[:_PDF_WITHIN]):
        raise _contradiction(wanted, found, declared)
    if wanted:
        return wanted
    if found and found not in _CALLED:
        raise InvalidArgumentError(
            "data",
            f"is {found}, which is not read: convert it to PDF, DOCX, HTML, Markdown or text",
            reason="UNSUPPORTED_MEDIA_TYPE",
        )
    return found or PLAIN


def _contradiction(wanted: str, found: str, declared: str) -> InvalidArgumentError:
    content = _CALLED.get(found, found) or "something else"
    if declared:
        return InvalidArgumentError(
            "mime_type",
            f"says {_CALLED[wanted]} ({wanted}), but the content is {content}: send the type that "
            "the file has, or leave it out",
            reason="WRONG_MEDIA_TYPE",
        )
    return InvalidArgumentError(
        "data",
        f"has the name of {_CALLED[wanted]}, but the content is {content}: send the file under "
        "the name of what it is",
        reason="WRONG_MEDIA_TYPE",
    )


def _supported(declared: str) -> str:
    bare = declared.partition(";")[0].strip().lower()
    bare = _ALIASES.get(bare, bare)
    if bare not in _CALLED:
        raise InvalidArgumentError(
            "mime_type",
            f"{declared[:100]!r} is not read: use one of {', '.join(_CALLED)}, or leave it out",
            reason="UNSUPPORTED_MEDIA_TYPE",
        )
    return bare


def _by_content(data: bytes) -> str:
    """A supported type, the description of a foreign one, or "" for what may be any text."""
    for magic, description in _FOREIGN:
        if data.startswith(magic):
            return description
    if data.startswith(b"PK\x03\x04"):
        # Names stand unpacked in the archive, and a DOCX keeps its parts in this folder.
        return DOCX if b"word/" in data else _ZIP
    if data[:_PDF_WITHIN].lstrip().startswith(_PDF_HEADER):
        return PDF
    return HTML if _HTML_START.match(data) else ""


def _agree(wanted: str, found: str, head: bytes) -> bool:
    if wanted == DOCX:
        return found in (DOCX, _ZIP)  # What kind of archive it is, its reader says.
    if wanted == PDF:
        return _PDF_HEADER in head
    return found in ("", *_TEXT)
