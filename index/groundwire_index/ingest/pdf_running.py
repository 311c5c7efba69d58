"""Finds the running heads, running feet and page numbers of a PDF."""

from __future__ import annotations

import re
from collections import Counter

from groundwire_index.ingest.pdf_lines import Line

__all__ = ["without_running_lines"]

_NUMBER = re.compile(r"\d+")
# Share of the page, at the top and at the bottom, in which running lines stand.
_MARGIN = 0.1
# On so many pages a line is the same, its numbers aside, and in the same place.
_SHARE = 0.6
_PLACES_PER_POINT = 0.5


def without_running_lines(pages: list[list[Line]]) -> list[list[Line]]:
    """Leave out what stands in the margin of most pages, in the same place and the same words.

    A page keeps its text where it would lose all of it.
    """
    often = max(2, round(_SHARE * len(pages)))
    counts = Counter(key for page in pages for key in {_key(line) for line in _margin(page)})
    running = {key for key, count in counts.items() if count >= often}
    return [
        [line for line in page if not _in_margin(line) or _key(line) not in running] or page
        for page in pages
    ]


def _margin(page: list[Line]) -> list[Line]:
    return [line for line in page if _in_margin(line)]


def _in_margin(line: Line) -> bool:
    return not _MARGIN <= (line.bottom + line.size / 2) / max(line.page_height, 1.0) <= 1 - _MARGIN


def _key(line: Line) -> tuple[str, int]:
    return _NUMBER.sub("#", line.text), round(line.bottom * _PLACES_PER_POINT)
