"""From the lines of PDF pages to headings, paragraphs, list items and table rows."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from groundwire_index.ingest.pdf_lines import Line
from groundwire_index.ingest.pdf_running import without_running_lines
from groundwire_index.ingest.text_builder import TextBuilder

__all__ = ["add_pages"]

_BULLET = r"[-–—•‣◦▪●■*\uf0b7\uf0a7]"  # noqa: RUF001
_ITEM = re.compile(rf"(?:({_BULLET})|\(?(\d{{1,3}}|[a-z])[.)])\s+(?=\S)")
_MARK = re.compile(rf"(?:({_BULLET})|\(?(\d{{1,3}}|[a-z](?=[.)]))[.)]?)")
_SENTENCE_END = re.compile(r"[.!?:;…][\"'”’»)\]]*\Z")  # noqa: RUF001
_COMPOUND = re.compile(r"\w+(?:-\w+)+")
_HYPHENATED = re.compile(r"((?:\w+-)*[^\W\d_]+)-\Z")
_FIRST_PART = re.compile(r"\w+")
# A heading is larger than the body by this factor, or bold and short.
_LARGER = 1.15
_LONGEST_HEADING = 200
_SAME_SIZE = 0.1
# A paragraph ends where lines are further apart than usual by this factor.
_APART = 1.3
_INDENT = 0.8
# A line that leaves this share of the page's width free ended on purpose.
_SHORT = 0.15


@dataclass(slots=True)
class _Block:
    lines: list[Line]
    page: int
    marker: str = ""
    level: int = 0
    continues: bool = False
    """Goes on with the paragraph at the end of the page or the column before."""


@dataclass(frozen=True, slots=True)
class _Style:
    """What is usual in a document."""

    size: float
    bold: bool
    leading: float
    compounds: frozenset[str]


def add_pages(pages: list[list[Line]], out: TextBuilder) -> None:
    """Add the blocks of all pages, each page marked in the builder."""
    pages = without_running_lines(pages)
    style = _usual(pages)
    blocks = _blocks(pages, style)
    _set_levels(blocks, style)
    begun, joint = 0, ""
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        while begun <= block.page:
            out.begin_page()
            begun += 1
        joint = _add(block, joint, following, out, style)
    for _ in range(begun, len(pages)):
        out.begin_page()


def _usual(pages: list[list[Line]]) -> _Style:
    weights: Counter[tuple[float, bool]] = Counter()
    drops = []
    compounds: set[str] = set()
    for page in pages:
        for number, line in enumerate(page):
            weights[_rounded(line.size), line.bold] += len(line.text)
            compounds.update(match.lower() for match in _COMPOUND.findall(line.text))
            drop = page[number - 1].bottom - line.bottom if number else 0.0
            if 0.5 * line.size < drop < 2 * line.size:
                drops.append(drop)
    (size, bold), _ = weights.most_common(1)[0]
    return _Style(size, bold, median(drops) if drops else 1.2 * size, frozenset(compounds))


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _blocks(pages: list[list[Line]], style: _Style) -> list[_Block]:
    blocks: list[_Block] = []
    for page, lines in enumerate(pages):
        right = max((line.right for line in lines), default=0.0)
        left = min((line.left for line in lines), default=0.0)
        for number, line in enumerate(lines):
            if not blocks:
                blocks.append(_block(line, page))
            elif number == 0 or line.bottom > blocks[-1].lines[-1].bottom + line.size:
                follows = _continues(blocks[-1], line)
                blocks.append(_block(line, page))
                blocks[-1].continues = follows
            elif _starts_block(blocks[-1], line, style, right - _SHORT * (right - left)):
                blocks.append(_block(line, page))
            else:
                blocks[-1].lines.append(line)
    return blocks


def _block(line: Line, page: int) -> _Block:
    apart = len(line.cells) > 1
    match = _MARK.fullmatch(line.cells[0]) if apart else _ITEM.match(line.text)
    if match is None:
        return _Block([line], page)
    text = " ".join(line.cells[1:]) if apart else line.text[match.end() :]
    marker = "- " if match[1] else f"{match[2]}. "
    return _Block([replace(line, text=text, cells=(text,))], page, marker)


def _is_item(line: Line) -> bool:
    return _block(line, 0).marker != ""


def _is_row(line: Line) -> bool:
    return len(line.cells) > 1 and not _is_item(line)


def _continues(block: _Block, line: Line) -> bool:
    """Whether a line at the top of a page or a column goes on with the paragraph before it."""
    before = block.lines[-1]
    if _is_item(line) or _is_row(line) or _is_row(before) or not _same_size(before, line):
        return False
    return before.hyphenated or (line.text[0].islower() and not _SENTENCE_END.search(before.text))


def _starts_block(block: _Block, line: Line, style: _Style, short: float) -> bool:
    before = block.lines[-1]
    if _is_item(line) or _is_row(line) or _is_row(before) or not _same_size(before, line):
        return True
    leading = style.leading if abs(line.size - style.size) < 1 else 1.2 * line.size
    if before.bottom - line.bottom > _APART * leading:
        return True
    if before.hyphenated:
        return False
    ended = _SENTENCE_END.search(before.text) is not None
    indented = line.left > before.left + _INDENT * line.size
    if before.right < short:
        return ended or indented or before.bold != line.bold
    return ended and indented and not block.marker


def _same_size(one: Line, other: Line) -> bool:
    return abs(one.size - other.size) <= _SAME_SIZE * max(one.size, other.size)


def _set_levels(blocks: list[_Block], style: _Style) -> None:
    headings = [block for block in blocks if _is_heading(block, style)]
    sizes = sorted({_rounded(block.lines[0].size) for block in headings}, reverse=True)
    for block in headings:
        block.level = sizes.index(_rounded(block.lines[0].size)) + 1


def _is_heading(block: _Block, style: _Style) -> bool:
    text = " ".join(line.text for line in block.lines)
    if len(text) > _LONGEST_HEADING or not any(map(str.isalpha, text)) or block.continues:
        return False
    if all(line.size >= _LARGER * style.size for line in block.lines):
        return True
    return (
        not style.bold
        and not _is_row(block.lines[0])
        and len(block.lines) <= 2
        and all(line.bold for line in block.lines)
        and not _SENTENCE_END.search(text)
    )


def _add(
    block: _Block, joint: str, following: _Block | None, out: TextBuilder, style: _Style
) -> str:
    """Add a block and return what is to be put between it and a block that continues it."""
    text, joint_after = _joined([line.text for line in block.lines], style), " "
    if following and following.continues:
        text, joint_after = _before(text, following.lines[0].text, style)
    if block.level:
        out.heading(text, block.level)
    elif block.continues:
        out.continued(text, joint)
    elif block.marker:
        out.item(text, block.marker)
    elif _is_row(block.lines[0]):
        out.row(list(block.lines[0].cells))
    else:
        out.paragraph(text)
    return joint_after


def _joined(lines: list[str], style: _Style) -> str:
    parts: list[str] = []
    for line, following in pairwise(lines):
        parts += _before(line, following, style)
    return "".join((*parts, lines[-1]))


def _before(line: str, following: str, style: _Style) -> tuple[str, str]:
    """A line as it is before the one that goes on with it, and what comes between them."""
    left, right = _HYPHENATED.search(line), _FIRST_PART.match(following)
    if left is None or right is None:
        return line, " "
    if right[0][0].islower() and f"{left[1]}-{right[0]}".lower() not in style.compounds:
        return line[:-1], ""
    return line, ""
