"""Where sentences begin and end.

Rules, not a model: quick, the same every time, and wrong only in ways that can be read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Span", "sentences", "trimmed"]


class Span(NamedTuple):
    """A half-open range of code points."""

    start: int
    end: int


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Never the end of a sentence: a name, an example or a number always follows.
_LEADING = _words(
    "mr mrs ms mx dr prof st mt ft rev hon gen col maj capt lt sgt pres gov sen rep fr sr messrs"
    " mme e.g i.e eg ie cf vs viz approx ca resp incl excl z.b d.h u.a bzw ca bspw vgl"
)
# Followed by a number they are abbreviations; otherwise they are words that may end a sentence.
_BEFORE_NUMBER = _words(
    "no nos nr fig figs eq eqs tab sec sect ch chap art vol p pp par para ref refs ver v ext tel"
    " jan feb mar apr jun jul aug sep sept oct nov dec about max min"
)
# May end a sentence, which the next word decides.
_TRAILING = _words(
    "etc inc ltd co corp jr sr al a.m p.m am pm ph.d m.sc b.sc dept est ave blvd rd min max hr hrs"
    " std"
)
# Words that open sentences and hardly ever follow an initial or a trailing abbreviation.
_OPENERS = _words(
    "a after all although an and any as at because before both but by do each every for from he"
    " her here his how however i if in is it its many most no not of on once one only or our she"
    " since so some such that the their then there these they this those to until we what when"
    " where which while who why with you your"
)

# Possessive, and never from the middle of a run: a megabyte of full stops is read once.
_END = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s)|[。！？]++[」』”’）)]*+"  # noqa: RUF001
)
_WORD_BEFORE = re.compile(r"[^\W_]+(?:\.[^\W_]+)*\Z")
_CLOSING_MARKS = ".!?…:;。！？"  # noqa: RUF001
_OPENING_MARKS = "\"'“‘«([*_¿¡"  # noqa: RUF001
_LIST_LINE = re.compile(r"\s*(?:[-*+•‣◦▪–—]|\(?\d{1,3}[.)]|\(?[A-Za-z]\))\s+")  # noqa: RUF001
_HEADING_LINE = re.compile(r"\s*#{1,6}\s")
_LINE = re.compile(r"[^\n]+")
# How far back a word before a full stop is looked for.
_REACH = 24
# A line that is shorter was ended on purpose; a longer one may have been wrapped.
_WRAPPED = 60


def sentences(text: str) -> list[Span]:
    """Split a text into sentences, in order.

    A heading line, a list item and a table row (cells divided by ``|``) are units of their
    own. Spans neither overlap nor start or end with white space, and hold every character
    that is not white space. Time is linear in the length of the text.
    """
    return [span for line in _logical_lines(text) for span in _within(text, line)]


def _logical_lines(text: str) -> Iterator[Span]:
    """Lines, with the parts of a sentence that was wrapped over several put together."""
    start = end = -1
    for match in _LINE.finditer(text):
        if match[0].isspace():
            continue
        if start >= 0 and _continues(text, start, end, match.start()):
            end = match.end()
            continue
        if start >= 0:
            yield trimmed(text, start, end)
        start, end = match.span()
    if start >= 0:
        yield trimmed(text, start, end)


def _continues(text: str, start: int, end: int, following: int) -> bool:
    """Whether the line that starts at ``following`` goes on with the sentence before it."""
    if following - end != 1 or not _may_continue(text, start, end, following):
        return False
    line_start = max(start, text.rfind("\n", start, end) + 1)
    next_end = text.find("\n", following)
    return not (
        _is_row_or_heading(text, line_start, end)
        or _stands_alone(text, following, len(text) if next_end < 0 else next_end)
    )


def _may_continue(text: str, start: int, end: int, following: int) -> bool:
    before = text[max(start, end - _REACH) : end].rstrip()
    if before[-1:] in _CLOSING_MARKS:
        word = _WORD_BEFORE.search(before[:-1])
        return before[-1:] == "." and word is not None and word[0].lower() in _LEADING
    if text[following : following + _REACH].lstrip()[:1].islower():
        return True
    return end - max(start, text.rfind("\n", start, end) + 1) >= _WRAPPED


def _stands_alone(text: str, start: int, end: int) -> bool:
    return _is_row_or_heading(text, start, end) or _LIST_LINE.match(text, start, end) is not None


def _is_row_or_heading(text: str, start: int, end: int) -> bool:
    return text.find("|", start, end) >= 0 or _HEADING_LINE.match(text, start, end) is not None


def _within(text: str, line: Span) -> Iterator[Span]:
    """The sentences of one logical line."""
    start, stop = line
    if text.find("|", start, stop) >= 0:
        yield line
        return
    marker = _LIST_LINE.match(text, start, stop)
    search_from = marker.end() if marker else start
    for match in _END.finditer(text, search_from, stop):
        end = match.end()
        if end < stop and _ends_here(text, start, match, stop):
            yield trimmed(text, start, end)
            start = end
    if start < stop:
        yield trimmed(text, start, stop)


def _ends_here(text: str, start: int, match: re.Match[str], stop: int) -> bool:
    mark = match[0]
    if mark[0] in "。！？":  # noqa: RUF001
        return True
    following = text[match.end() : min(stop, match.end() + _REACH)].lstrip()
    bare = following.lstrip(_OPENING_MARKS)
    if bare[:1].islower():
        return False
    if not mark.startswith(".") or mark.startswith(".."):
        return True
    return _full_stop(text[max(start, match.start() - _REACH) : match.start()], bare)


def _full_stop(before: str, following: str) -> bool:
    """Whether a single full stop between these ends a sentence (and no abbreviation)."""
    found = _WORD_BEFORE.search(before)
    if found is None:
        return True
    word = found[0]
    lower = word.lower()
    opener = _first_word(following).lower() in _OPENERS
    if lower in _LEADING:
        return False
    if lower in _BEFORE_NUMBER and following[:1].isdigit():
        return False
    if lower in _TRAILING:
        return opener or not following[:1].isdigit()
    if _is_initials(word):
        return opener or not _names_someone(before[: found.start()], word)
    return True


def _is_initials(word: str) -> bool:
    """``J`` and ``J.R``, but not ``I``."""
    return word != "I" and all(len(part) == 1 and part.isupper() for part in word.split("."))


def _names_someone(before: str, word: str) -> bool:
    """Initials after a name or a title, or at the start: ``Ada M.``, ``Dr. A.``, ``J.R.``"""
    if "." in word:
        return True
    previous = before.split()
    return not previous or previous[-1][0].isupper() or previous[-1].endswith(".")


def _first_word(text: str) -> str:
    match = re.match(r"[^\W\d_]+", text)
    return match[0] if match else ""


def trimmed(text: str, start: int, end: int) -> Span:
    """A range without the white space at its ends; empty if there is nothing else in it."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)
