"""The smallest pieces that chunks are put together from, with their sizes in tokens."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from groundwire_index.ingest.sentences import Span, trimmed

__all__ = ["CHARACTERS_PER_TOKEN", "CountTokens", "Unit", "counted", "measured"]

CountTokens = Callable[[Sequence[str]], list[int]]
"""Sizes of texts in tokens, in order."""

# A tokenizer may take a megabyte that it has no words for as a single token, so characters
# are bounded too, by more than the text of any language needs.
CHARACTERS_PER_TOKEN = 8
# Texts, and characters, in one call of the tokenizer.
_BATCH, _BATCH_CHARACTERS = 1024, 262_144
# Where a long sentence is cut, best first; what matches stays with the part before.
_CUTS = (re.compile(r"\n"), re.compile(r"[;:,|](?= )|[、，；：]"), re.compile(r"\s"))  # noqa: RUF001


class Unit(NamedTuple):
    """A sentence, or a part of one that was too long."""

    start: int
    end: int
    tokens: int


def measured(
    text: str, spans: Sequence[Span], largest: int, count_tokens: CountTokens
) -> list[Unit]:
    """Measure every span, cutting those of more than ``largest`` tokens; in order.

    The parts of a span that was cut are at most a quarter of that, so that chunks can be
    filled with them. No text over ``largest * CHARACTERS_PER_TOKEN`` characters is ever
    counted, and a character is counted a logarithmic number of times at most.
    """
    pending = [part for span in spans for part in _parts(text, span, largest)]
    units: list[Unit] = []
    limit = largest
    while pending:
        sizes = counted(text, pending, count_tokens)
        larger = []
        for span, tokens in zip(pending, sizes, strict=True):
            if tokens <= limit or span.end - span.start == 1:
                units.append(Unit(span.start, span.end, tokens))
            else:
                larger.append(span)
        pending = [part for span in larger for part in _two(text, span)]
        limit = max(1, largest // 4)
    return sorted(units)


def counted(text: str, spans: Sequence[Span], count_tokens: CountTokens) -> list[int]:
    """Tokens of each span, counted in batches."""
    return [
        tokens
        for batch in _batches(spans)
        for tokens in count_tokens([text[span.start : span.end] for span in batch])
    ]


def _batches(spans: Sequence[Span]) -> Iterator[list[Span]]:
    batch: list[Span] = []
    characters = 0
    for span in spans:
        batch.append(span)
        characters += span.end - span.start
        if len(batch) == _BATCH or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _parts(text: str, span: Span, largest: int) -> Iterator[Span]:
    """Cut a span that has too many characters, whatever its size in tokens."""
    longest = largest * CHARACTERS_PER_TOKEN
    if span.end - span.start <= longest:
        yield span
        return
    start, step = span.start, longest // 4
    while span.end - start > step:
        cut = _cut(text, start + step // 2, start + step)
        yield from _present(text, start, cut)
        start = cut
    yield from _present(text, start, span.end)


def _two(text: str, span: Span) -> Iterator[Span]:
    third = max(1, (span.end - span.start) // 3)
    cut = _cut(text, span.start + third, span.end - third)
    yield from _present(text, span.start, cut)
    yield from _present(text, cut, span.end)


def _cut(text: str, first: int, last: int) -> int:
    """The last good place to cut in a range; never ``first`` itself if there is another."""
    for pattern in _CUTS:
        found = [match.end() for match in pattern.finditer(text, first, last)]
        if found:
            return found[-1]
    cut = last
    while cut - 1 > first and unicodedata.combining(text[cut : cut + 1] or " "):
        cut -= 1
    return cut


def _present(text: str, start: int, end: int) -> Iterator[Span]:
    span = trimmed(text, start, end)
    if span.start < span.end:
        yield span
