"""Cuts a document into chunks of a size in tokens.

Cut first between sections, then between paragraphs, then between sentences; only a sentence
that is larger than a chunk is cut inside. A heading stays with what follows it.
"""

from __future__ import annotations

from collections.abc import Iterator

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest.document import Chunk, ParsedDocument
from groundwire_index.ingest.outline import Outline
from groundwire_index.ingest.sentences import sentences
from groundwire_index.ingest.units import CountTokens, counted, measured

__all__ = ["chunk"]

MIN_TOKENS = 16


def chunk(
    document: ParsedDocument,
    *,
    max_tokens: int,
    overlap_tokens: int,
    count_tokens: CountTokens,
) -> list[Chunk]:
    """Cut a document into chunks, in order, that together hold all of its words.

    A chunk has at most ``max_tokens`` tokens and ``8 * max_tokens`` characters. It starts with
    the last sentences of the chunk before, up to ``overlap_tokens``, where it goes on with the
    same section. ``count_tokens`` is called with batches of texts. Raises InvalidArgumentError
    on ``max_tokens`` (at least 16) or ``overlap_tokens`` (under half of that).
    """
    _check(max_tokens, overlap_tokens)
    units = measured(document.text, sentences(document.text), max_tokens, count_tokens)
    outline = Outline(document, units)
    ranges = list(_packed(outline, max_tokens, overlap_tokens))
    return [
        outline.chunk(ordinal, first, stop, tokens)
        for ordinal, (first, stop, tokens) in enumerate(
            _within_limit(outline, ranges, max_tokens, count_tokens)
        )
    ]


def _check(max_tokens: int, overlap_tokens: int) -> None:
    if max_tokens < MIN_TOKENS:
        raise InvalidArgumentError(
            "max_tokens", f"is {max_tokens}: it must be {MIN_TOKENS} or more"
        )
    if not 0 <= overlap_tokens < max_tokens / 2:
        raise InvalidArgumentError(
            "overlap_tokens",
            f"is {overlap_tokens}: it must be 0 or more, and less than half of max_tokens "
            f"({max_tokens})",
        )


def _packed(outline: Outline, largest: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Ranges of units that make good chunks."""
    first = 0
    for unit in range(1, len(outline.units)):
        if not _ends_before(outline, first, unit, largest):
            continue
        stop = _before_headings(outline, first, unit)
        yield first, stop
        first = stop if stop < unit else _with_overlap(outline, first, unit, largest, overlap)
        if first < unit and not outline.fits(first, unit + 1, largest):
            yield first, unit
            first = unit
    if outline.units:
        yield first, len(outline.units)


def _ends_before(outline: Outline, first: int, unit: int, largest: int) -> bool:
    """Whether the chunk that starts at ``first`` ends before ``unit``."""
    if not outline.fits(first, unit + 1, largest):
        return True
    if outline.new_section(unit):
        return not _goes_on(outline, first, unit, largest)
    if outline.paragraph_end(unit - 1) > unit:
        return False
    # A paragraph that does not fit in what is left gets a chunk of its own, unless that
    # would leave this one half empty.
    half_full = 2 * outline.tokens(first, unit) >= largest
    return half_full and not outline.fits(first, outline.paragraph_end(unit), largest)


def _goes_on(outline: Outline, first: int, unit: int, largest: int) -> bool:
    """Whether the section that starts at ``unit`` goes into the chunk before it."""
    if all(outline.is_heading[first:unit]):
        return True
    return (
        outline.sections[unit].level > outline.top_level
        and 4 * outline.tokens(first, unit) < largest
        and outline.fits(first, outline.section_end(unit), largest)
    )


def _before_headings(outline: Outline, first: int, stop: int) -> int:
    """Moves the end of a chunk before the headings it would end with, if anything is left."""
    cut = stop
    while cut > first and outline.is_heading[cut - 1]:
        cut -= 1
    return cut if cut > first else stop


def _with_overlap(outline: Outline, first: int, unit: int, largest: int, overlap: int) -> int:
    """Where a chunk that goes on at ``unit`` starts, so that it repeats what led there."""
    start = unit
    while (
        start - 1 > first
        and outline.sections[start - 1] is outline.sections[unit]
        and not outline.is_heading[start - 1]
        and outline.tokens(start - 1, unit) <= overlap
        and outline.fits(start - 1, unit + 1, largest)
    ):
        start -= 1
    return start


def _within_limit(
    outline: Outline,
    ranges: list[tuple[int, int]],
    largest: int,
    count_tokens: CountTokens,
) -> list[tuple[int, int, int]]:
    """Ranges with their sizes as a whole, halving those that are more than their parts.

    A tokenizer may need more tokens for a text than for its sentences one by one.
    """
    done: list[tuple[int, int, int]] = []
    while ranges:
        spans = [outline.span(*bounds) for bounds in ranges]
        sizes = counted(outline.text, spans, count_tokens)
        larger = []
        for (first, stop), tokens in zip(ranges, sizes, strict=True):
            if tokens <= largest or stop - first == 1:
                done.append((first, stop, tokens))
            else:
                larger.append((first, stop))
        ranges = [
            half
            for first, stop in larger
            for half in ((first, (first + stop) // 2), ((first + stop) // 2, stop))
        ]
    return sorted(done)
