"""Bytes to text: UTF-8, or what the file itself says it is."""

from __future__ import annotations

import codecs
import re

from groundwire_index.errors import InvalidArgumentError

__all__ = ["decode_html", "decode_text"]

# UTF-32 comes first, because its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Where the HTML standard looks for a declaration.
_DECLARATION_WITHIN = 1024
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]+)")
# Charsets of the web that a page may declare. Python knows others, some of which run code
# points through zlib or an escape language.
_KNOWN = re.compile(
    r"utf-?8|(?:windows-|cp)(?:125[0-8]|874|932|949)|iso-?8859-(?:[2-9]|1[013456])|koi8-[ru]"
    r"|ibm866|gb2312|gbk|gb18030|big5(?:-hkscs)?|euc-(?:jp|kr)|iso-2022-jp|shift[_-]jis"
)
# What browsers read under these names.
_READ_AS = dict.fromkeys(("iso-8859-1", "latin-1", "latin1", "ascii", "us-ascii"), "cp1252")
_READ_AS |= dict.fromkeys(("utf-16", "utf-16le", "utf-16be"), "utf-8")
_READ_AS |= {"gb2312": "gb18030", "gbk": "gb18030", "macintosh": "mac_roman"}
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SAMPLE = 65_536


def decode_text(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 and UTF-32 with a byte order mark.

    Raises InvalidArgumentError on ``data`` with the offset of the first wrong byte
    (INVALID_ENCODING), or if what it holds is no text (BINARY_CONTENT).
    """
    codec, skip = _by_mark(data)
    return _text(_decode(data, codec or "utf-8", skip))


def decode_html(data: bytes) -> str:
    """Decode by byte order mark, else by the charset the page declares, else as UTF-8."""
    codec, skip = _by_mark(data)
    return _text(_decode(data, codec or _declared(data[:_DECLARATION_WITHIN]), skip))


def _by_mark(data: bytes) -> tuple[str, int]:
    return next(((codec, len(mark)) for mark, codec in _MARKS if data.startswith(mark)), ("", 0))


def _declared(head: bytes) -> str:
    match = _META_CHARSET.search(head) or _XML_ENCODING.search(head)
    if match is None:
        return "utf-8"
    name = match[1].decode("ascii", "replace").lower()
    if name not in _READ_AS and not _KNOWN.fullmatch(name):
        raise InvalidArgumentError(
            "data",
            f"declares the unknown charset {name[:40]!r}: save the page as UTF-8",
            reason="INVALID_ENCODING",
        )
    return _READ_AS.get(name, name.replace("windows-", "cp"))


def _decode(data: bytes, codec: str, skip: int) -> str:
    try:
        return str(memoryview(data)[skip:], codec)
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            "data",
            f"is not valid {codec.upper()} at byte {skip + error.start}: save the file as UTF-8",
            reason="INVALID_ENCODING",
        ) from None


def _text(text: str) -> str:
    sample = text[:_SAMPLE]
    if "\0" in text or len(_CONTROL.findall(sample)) * 20 > len(sample):
        raise InvalidArgumentError(
            "data",
            "holds control characters that no text has: send a text file, saved as UTF-8",
            reason="BINARY_CONTENT",
        )
    return text
