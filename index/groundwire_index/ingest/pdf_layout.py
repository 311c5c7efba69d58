"""From the lines of PDF pages to the text of the document."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from groundwire_index.ingest.pdf_blocks import SENTENCE_END, Block, blocks_of
from groundwire_index.ingest.pdf_lines import Line
from groundwire_index.ingest.pdf_running import without_running_lines
from groundwire_index.ingest.text_builder import TextBuilder

__all__ = ["add_pages"]

_COMPOUND = re.compile(r"\w+(?:-\w+)+")
_HYPHENATED = re.compile(r"((?:\w+-)*[^\W\d_]+)-\Z")
_FIRST_PART = re.compile(r"\w+")
# A heading is larger than the body by this factor, or bold and short.
_LARGER = 1.15
_LONGEST_HEADING = 200


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
    blocks = blocks_of(pages, style.leading, style.size)
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


def _set_levels(blocks: list[Block], style: _Style) -> None:
    headings = [block for block in blocks if _is_heading(block, style)]
    sizes = sorted({_rounded(block.lines[0].size) for block in headings}, reverse=True)
    for block in headings:
        block.level = sizes.index(_rounded(block.lines[0].size)) + 1


def _is_heading(block: Block, style: _Style) -> bool:
    text = " ".join(line.text for line in block.lines)
    if len(text) > _LONGEST_HEADING or not any(map(str.isalpha, text)):
        return False
    if block.continues or block.cells or block.marker:
        return False
    if all(line.size >= _LARGER * style.size for line in block.lines):
        return True
    return (
        not style.bold
        and len(block.lines) <= 2
        and all(line.bold for line in block.lines)
        and not SENTENCE_END.search(text)
    )


def _add(block: Block, joint: str, following: Block | None, out: TextBuilder, style: _Style) -> str:
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
    elif block.cells:
        out.row([_joined(cell, style) for cell in block.cells])
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
