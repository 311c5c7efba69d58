"""Plain text to blocks: paragraphs are divided by empty lines, and wrapped lines put together."""

from __future__ import annotations

import re
from itertools import pairwise

from groundwire_index.ingest.encoding import decode_text
from groundwire_index.ingest.limits import ParseLimits
from groundwire_index.ingest.text_builder import TextBuilder

__all__ = ["read"]

_NEWLINE = re.compile(r"\r\n?|\f")
# Starts a line that does not go on with the one before: a list item, an indented or a ruled
# line, a table.
_OWN_LINE = re.compile(r"\s|[-*+•#|>=_~]|\(?(?:\d{1,3}|[A-Za-z])[.)]\s")
_COLUMNS = re.compile(r"\t|\S {3,}\S|\|")
# Where text is wrapped by hand or by an editor. Longer lines are whole paragraphs, and
# shorter ones are verses, addresses and tables.
_NARROWEST, _WIDEST = 45, 120


def read(data: bytes, out: TextBuilder, limits: ParseLimits) -> str:
    """Add the paragraphs of a text. Plain text has no title of its own, so this returns ""."""
    del limits  # The builder bounds the text.
    block: list[str] = []
    for line in _NEWLINE.sub("\n", decode_text(data)).split("\n"):
        if line and not line.isspace():
            block.append(line.rstrip())
        elif block:
            out.paragraph(_unwrapped(block))
            block = []
    out.paragraph(_unwrapped(block))
    return ""


def _unwrapped(lines: list[str]) -> str:
    """A line goes on in the next if the next one's first word would not have fitted on it."""
    width = max(map(len, lines), default=0)
    if not _NARROWEST <= width <= _WIDEST:
        return "\n".join(lines)
    parts = [lines[0]]
    for before, line in pairwise(lines):
        parts.append(" " if _goes_on(before, line, width) else "\n")
        parts.append(line)
    return "".join(parts)


def _goes_on(before: str, line: str, width: int) -> bool:
    if _OWN_LINE.match(line) or _COLUMNS.search(line) or _COLUMNS.search(before):
        return False
    return len(before) + 1 + len(line.split(maxsplit=1)[0]) > width
