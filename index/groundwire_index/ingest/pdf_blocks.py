"""Groups the lines of PDF pages into paragraphs, list items and table rows, by where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from groundwire_index.ingest.pdf_lines import Line

__all__ = ["SENTENCE_END", "Block", "blocks_of"]

SENTENCE_END = re.compile(r"[.!?:;…][\"'”’»)\]]*\Z")  # noqa: RUF001

_BULLET = r"[-–—•‣◦▪●■*\uf0b7\uf0a7]"  # noqa: RUF001
_MARK = re.compile(rf"(?:({_BULLET})|\(?(\d{{1,3}}(?=[.)]|\Z)|[a-z](?=[.)]))[.)]?)(?=\s|\Z)\s*")
_LONE_MARK = re.compile(rf"{_BULLET}|\(?(?:\d{{1,3}}|[a-z])[.)]")
# In heights of a line.
_SAME_SIZE = 0.1
_INDENT = 0.8
_SAME_ROW = 0.5
_SAME_EDGE = 0.5
# A paragraph ends where lines are further apart than usual by this factor.
_APART = 1.3
# A line that leaves this share of its column free ended on purpose.
_SHORT = 0.15
# By so much may a cell start above the one before it, where they are centred.
_TALLER = 3.0
# Taller ones are columns of text that stand side by side.
_TALLEST_CELL = 6


@dataclass(slots=True)
class Block:
    """Lines that belong together."""

    lines: list[Line]
    page: int
    """Counts from 0."""
    marker: str = ""
    """Of a list item, as it is written in text."""
    cells: list[list[str]] = field(default_factory=list)
    """Of a table row: the lines of each; none if it is no row."""
    level: int = 0
    """Of a heading."""
    continues: bool = False
    """It goes on with the paragraph at the end of the page or the column before."""


def blocks_of(pages: list[list[Line]], leading: float, body_size: float) -> list[Block]:
    """Group lines, in order; ``leading`` is the distance of lines of the body size."""
    blocks: list[Block] = []
    edges: dict[int, float] = {}
    for number, page in enumerate(pages):
        edges_before, edges = edges, _right_edges(page)
        for at, line in enumerate(page):
            last = blocks[-1] if blocks else None
            if last is None:
                blocks.append(_new(line, number))
            elif at > 0 and _is_beside(last, line):
                _add_beside(last, line)
            elif at == 0 or _is_above(last, line):
                blocks.append(_new(line, number))
                blocks[-1].continues = _continues(last, line, edges_before if at == 0 else edges)
            elif _is_in_cell(last, line, leading):
                last.cells[-1].append(line.text)
                last.lines.append(line)
            elif last.cells or _starts_block(last, line, edges, leading, body_size):
                blocks.append(_new(line, number))
            else:
                last.lines.append(line)
    return blocks


def _new(line: Line, page: int) -> Block:
    match = _MARK.match(line.text)
    if match is None or match.end() == len(line.text):
        return Block([line], page)
    return Block([replace(line, text=line.text[match.end() :])], page, _marker(match))


def _marker(match: re.Match[str]) -> str:
    return "- " if match[1] else f"{match[2]}. "


def _is_item(line: Line) -> bool:
    return _new(line, 0).marker != "" or _LONE_MARK.fullmatch(line.text) is not None


# Table rows, and items whose mark stands apart.


def _is_beside(block: Block, line: Line) -> bool:
    last, tolerance = block.lines[-1], _SAME_ROW * line.size
    lowest = min(one.bottom for one in block.lines)
    highest = max(one.bottom for one in block.lines)
    return (
        line.left > max(last.left + line.size, last.right)
        and lowest - tolerance <= line.bottom <= highest + _TALLER * line.size
        and (bool(block.cells) or len(block.lines) <= _TALLEST_CELL)
    )


def _add_beside(block: Block, line: Line) -> None:
    mark = _MARK.fullmatch(block.lines[0].text) if len(block.lines) == 1 else None
    if mark is not None and not block.cells:
        block.marker, block.lines = _marker(mark), [line]
        return
    if not block.cells:
        block.cells = [[block.marker + block.lines[0].text, *(one.text for one in block.lines[1:])]]
        block.marker = ""
    block.cells.append([line.text])
    block.lines.append(line)


def _is_in_cell(block: Block, line: Line, leading: float) -> bool:
    """Whether a line goes on in the last cell of a row."""
    last = block.lines[-1]
    return (
        bool(block.cells)
        and abs(line.left - last.left) < _SAME_EDGE * line.size
        and 0 < last.bottom - line.bottom < _APART * leading
        and _same_size(last, line)
    )


# Paragraphs.


def _is_above(block: Block, line: Line) -> bool:
    """Whether a line starts a new column."""
    highest = max(one.bottom for one in block.lines)
    return line.bottom > highest + line.size


def _continues(block: Block, line: Line, edges: dict[int, float]) -> bool:
    """Whether a line at the top of a page or a column goes on with the block before it."""
    before = block.lines[-1]
    if block.cells or _is_item(line) or not _same_size(before, line) or before.bold != line.bold:
        return False
    if before.hyphenated or SENTENCE_END.search(before.text):
        return before.hyphenated
    return line.text[0].islower() or not _is_short(before, edges)


def _starts_block(
    block: Block, line: Line, edges: dict[int, float], leading: float, body_size: float
) -> bool:
    before = block.lines[-1]
    if _is_item(line) or not _same_size(before, line):
        return True
    usual = leading if abs(line.size - body_size) < 1 else 1.2 * line.size
    if before.bottom - line.bottom > _APART * usual:
        return True
    if before.hyphenated:
        return False
    ended = SENTENCE_END.search(before.text) is not None
    indented = line.left > before.left + _INDENT * line.size
    if _is_short(before, edges):
        return ended or indented or before.bold != line.bold
    return ended and indented and not block.marker


def _same_size(one: Line, other: Line) -> bool:
    return abs(one.size - other.size) <= _SAME_SIZE * max(one.size, other.size)


def _is_short(line: Line, edges: dict[int, float]) -> bool:
    right = max(_edges_near(line, edges), default=line.right)
    return line.right < right - _SHORT * (right - line.left)


def _right_edges(page: list[Line]) -> dict[int, float]:
    """How far lines that start at the same place reach, in steps of the place."""
    edges: dict[int, float] = {}
    for line in page:
        edges[_step(line)] = max(line.right, edges.get(_step(line), 0.0))
    return edges


def _edges_near(line: Line, edges: dict[int, float]) -> Iterator[float]:
    """Of the column of a line, whose other lines may be indented by a little."""
    return (edges[step] for step in range(_step(line) - 2, _step(line) + 2) if step in edges)


def _step(line: Line) -> int:
    return int(line.left // 12)
