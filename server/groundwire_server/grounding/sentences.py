"""Where sentences begin and end, in code points of the text they stand in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from groundwire_server.grounding.words import word_set


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text; ``end`` is exclusive."""

    start: int
    end: int


_ABBREVIATIONS = word_set(
    """
    approx apr aug ca cf dec dept dr e.g est ext feb gen gov i.e jan jul jun mr mrs ms mt nov
    oct prof sep sept st vs
    """
)
# Abbreviations only before a number: "No. 5".
_BEFORE_NUMBERS = word_set("ch eq fig figs no nos p pp sec vol")

# The end of a sentence: its stop with closing quotes and brackets, then space; or a stop of a
# script that uses no space; or a blank line, or a line that begins an item, a row or a heading.
_BREAK = re.compile(
    r"(?P<stop>[.!?\u2026]+[\"'\u201d\u2019)\]]*)(?=\s)"
    r"|[\u3002\uff01\uff1f]+[\u300d\u300f\uff09]*"
    r"|\s*\n\s*\n"
    r"|\s*\n(?=[ \t]*(?:[-*\u2022|#>]|\d{1,3}[.)][ \t]))"
)
_LAST_WORD = re.compile(r"[^\s(\[\"'\u201c\u2018]+$")


def sentences(text: str) -> list[Span]:
    """Split a text into sentences, without the white space around them.

    Made for prose in Latin, Cyrillic, Greek and CJK scripts. A stop after an abbreviation or
    an initial, or before a small letter, ends nothing. List items and table rows count as
    sentences of their own.
    """
    spans: list[Span] = []
    start = 0
    for found in _BREAK.finditer(text):
        if found["stop"] and not _ends_sentence(text, found):
            continue
        _append(spans, text, start, found.end())
        start = found.end()
    _append(spans, text, start, len(text))
    return spans


def _append(spans: list[Span], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        offset = start + len(piece) - len(piece.lstrip())
        spans.append(Span(offset, offset + len(stripped)))


def _ends_sentence(text: str, stop: re.Match[str]) -> bool:
    if stop["stop"][0] in "!?":
        return True
    following = text[stop.end() :].lstrip()[:1]
    if following.islower():
        return False
    # An abbreviation is short, so the few characters before the stop are enough.
    word = _LAST_WORD.search(text, max(0, stop.start() - 16), stop.start())
    if word is None:
        return True
    if len(word[0]) == 1 and word[0].isupper() and following.isupper():
        return False
    folded = word[0].casefold()
    return folded not in _ABBREVIATIONS and not (folded in _BEFORE_NUMBERS and following.isdigit())
