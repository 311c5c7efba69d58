"""Cuts a document into chunks of a size in tokens.

Cut first between sections, then between paragraphs, then between sentences; only a sentence
that nearly fills a chunk is cut inside. A heading stays with what follows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.ingest.document import Chunk, ParsedDocument
from groundwire_index.ingest.outline import Outline
from groundwire_index.ingest.sentences import sentences
from groundwire_index.ingest.units import CountTokens, counted, measured

__all__ = ["chunk"]

MIN_TOKENS = 16
# A sentence over this share of a chunk comes in parts, so that its heading fits in with the
# first of them.
_LARGEST_UNIT = 0.75


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
    spans = sentences(document.text)
    units = measured(document.text, spans, round(_LARGEST_UNIT * max_tokens), count_tokens)
    outline = Outline(document, units)
    ranges = list(_packed(outline, max_tokens, overlap_tokens))
    sized = _within_limit(outline, ranges, max_tokens, count_tokens)
    return [
        outline.chunk(ordinal, one.first, one.stop, tokens)
        for ordinal, (one, tokens) in enumerate(sized)
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


class _Range(NamedTuple):
    """Units that make a chunk; those before ``fresh`` are in the chunk before, too."""

    first: int
    fresh: int
    stop: int


def _packed(outline: Outline, largest: int, overlap: int) -> Iterator[_Range]:
    """Ranges of units that make good chunks."""
    first = fresh = 0
    for unit in range(1, len(outline.units)):
        if _ends_before(outline, first, unit, largest):
            yield _Range(first, fresh, unit)
            first, fresh = _with_overlap(outline, first, unit, largest, overlap), unit
    if outline.units:
        yield _Range(first, fresh, len(outline.units))


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
    outline: Outline, ranges: list[_Range], largest: int, count_tokens: CountTokens
) -> list[tuple[_Range, int]]:
    """Ranges with their sizes as a whole; one that is more than its parts is made smaller.

    A tokenizer may need more tokens for a text than for its sentences one by one.
    """
    done: list[tuple[_Range, int]] = []
    while ranges:
        spans = [outline.span(one.first, one.stop) for one in ranges]
        sized = list(zip(ranges, counted(outline.text, spans, count_tokens), strict=True))
        done += (pair for pair in sized if pair[1] <= largest or _is_single(pair[0]))
        larger = [one for one, tokens in sized if tokens > largest and not _is_single(one)]
        ranges = [smaller for one in larger for smaller in _smaller(one)]
    return list(_not_repeated(done))


def _not_repeated(sized: list[tuple[_Range, int]]) -> Iterator[tuple[_Range, int]]:
    """In order, without the parts of a range that the overlap of the next repeats whole."""
    reached = 0
    for one, tokens in sorted(sized, key=lambda pair: (pair[0].first, -pair[0].stop)):
        if one.stop > reached:
            yield one, tokens
            reached = one.stop


def _is_single(one: _Range) -> bool:
    return one.stop - one.first == 1


def _smaller(one: _Range) -> tuple[_Range, ...]:
    if one.first < one.fresh:
        return (_Range(one.fresh, one.fresh, one.stop),)
    middle = (one.first + one.stop) // 2
    return _Range(one.first, one.first, middle), _Range(middle, middle, one.stop)
