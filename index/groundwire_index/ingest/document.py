"""A file that was read, and the pieces it is cut into."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Chunk", "HeadingSpan", "PageSpan", "ParsedDocument"]


@dataclass(frozen=True, slots=True)
class PageSpan:
    """The text of one page, in code points of the document's text; empty if it has none."""

    number: int
    """Counts from 1."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class HeadingSpan:
    """A heading and the line it stands on, in code points of the document's text."""

    level: int
    """1 for the highest; not every document uses every level."""
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """The text of a file, cleaned, which everything else refers to by code points.

    Blocks (headings, paragraphs, code) are divided by an empty line; list items and table
    rows (cells divided by `` | ``) are lines of their own. A line of prose is never wrapped.
    """

    mime_type: str
    title: str
    """From the metadata of the file, else its first heading, else its name."""
    text: str
    pages: tuple[PageSpan, ...] = ()
    """In order, without gaps in the numbers; none for formats that have no pages."""
    headings: tuple[HeadingSpan, ...] = ()
    """In order of their position."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: ``document.text[start:end] == text``."""

    ordinal: int
    """Counts from 0."""
    text: str
    """Neither starts nor ends with white space."""
    start: int
    end: int
    page: int | None
    """Page on which it starts; None if the format has no pages."""
    last_page: int | None
    headings: tuple[str, ...]
    """The headings that all of it stands under, from the highest down."""
    token_count: int
