"""Which headings each part of a document stands under."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from groundwire_index.ingest.document import HeadingSpan

__all__ = ["Section", "Sections"]


@dataclass(frozen=True, slots=True)
class Section:
    """What follows one heading, up to the next of any level."""

    start: int
    """Of its heading, in code points of the text."""
    heading_end: int
    level: int
    """0 for what comes before the first heading."""
    path: tuple[str, ...]
    """Its heading, and those it stands under, from the highest down."""


class Sections:
    """The sections of a document, which cover it without gaps."""

    def __init__(self, headings: Sequence[HeadingSpan]) -> None:
        self._sections = [Section(0, 0, 0, ())]
        above: list[HeadingSpan] = []
        for heading in headings:
            above = [higher for higher in above if higher.level < heading.level]
            above.append(heading)
            path = tuple(higher.text for higher in above)
            self._sections.append(Section(heading.start, heading.end, heading.level, path))
        self._starts = [section.start for section in self._sections]
        counts = Counter(heading.level for heading in headings)
        self.top_level = min(
            (level for level, count in counts.items() if count > 1), default=max(counts, default=0)
        )
        """Level of the main sections: the highest one that occurs more than once."""

    def at(self, position: int) -> Section:
        """The section a position is in; its heading counts as part of it."""
        return self._sections[bisect_right(self._starts, position) - 1]


def common_path(sections: Sequence[Section]) -> tuple[str, ...]:
    """The headings that all of these stand under."""
    first = sections[0].path
    depth = 0
    while depth < len(first) and all(
        len(section.path) > depth and section.path[depth] == first[depth] for section in sections
    ):
        depth += 1
    return first[:depth]
