"""Makes text plain: one kind of space, one kind of newline, nothing invisible."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["clean", "clean_code", "clean_line"]

_NEWLINE = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Control characters, zero-width and bidirectional marks, tags and what is no character.
# They cannot be seen, so a quotation or a search that holds them matches nothing, and text
# hidden in them would reach a model unseen.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
_SPACES = re.compile(r"[^\S\n]+")
_AROUND_NEWLINE = re.compile(r" ?\n ?")
_TRAILING_SPACES = re.compile(r"[^\S\n]+(?=\n|\Z)")
_LIGATURE = re.compile("[\ufb00-\ufb06]")
_LIGATURES = dict(
    zip(
        "\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06",
        ("ff", "fi", "fl", "ffi", "ffl", "st", "st"),
        strict=True,
    )
)
# Normalising sorts a run of combining marks in quadratic time, so a run is cut.
_WORD = re.compile(r"\S{1,256}")


def clean(text: str) -> str:
    """Prose: newlines are kept, other white space becomes single spaces."""
    return _AROUND_NEWLINE.sub("\n", _SPACES.sub(" ", _readable(text))).strip()


def clean_line(text: str) -> str:
    """A heading or a table cell: all white space becomes single spaces."""
    return " ".join(_readable(text).split())


def clean_code(text: str) -> str:
    """Code: indentation and empty lines stay."""
    return _TRAILING_SPACES.sub("", _readable(text)).strip("\n")


def _readable(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    text = _INVISIBLE.sub("", _NEWLINE.sub("\n", text))
    if text.isascii():
        return text
    text = _LIGATURE.sub(lambda match: _LIGATURES[match[0]], text)
    if unicodedata.is_normalized("NFC", text):
        return text
    return _WORD.sub(lambda match: unicodedata.normalize("NFC", match[0]), text)
