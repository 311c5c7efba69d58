"""Whether two questions ask the same, by their words.

What an embedder finds similar differs, as often as not, by the one word that matters. So nothing
may differ but what is known to say nothing: articles, courtesies, some synonyms, the place of what
is asked for ("what is the weight of it", "what does it weigh"), and an "s" at the end of a word
that cannot be a name. Of other languages only the same words, in the same order, are taken for the
same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import accumulate

from groundwire_server.caching.synonyms import (
    ASPECTS,
    BEING,
    COURTESIES,
    DOING,
    HARMLESS,
    KNOWN,
    MEASURES,
    NO_PLURALS,
    PHRASES,
    QUESTION_WORDS,
    SAME_WORDS,
)
from groundwire_server.words import STOP_WORDS, numbers, stem, tokens

_FRONTED = re.compile(r"^((?:on|in|at|during)\s[^,?]{1,40}),\s*(.+?)([?.!\s]*)$", re.IGNORECASE)
_DAYS = re.compile(r"\b((?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)s\b")
_WORD = re.compile(r"[^\W\d_]+")
# What is no word, no number and no ordinary punctuation: "$", "+", "#", "/", "(". Between numbers,
# what may be a minus. Options with their case ("-v"), and what is read in code: "!=", "5!", ".net".
_SYMBOL = re.compile(
    r"(?<=\d)\s?[-\u2012\u2013\u2212](?=\s?\d)"
    r"|(?<!\S)--?[^\W\d_]\w*|!(?=[=\w])|(?<=\d)!|\.(?=[^\W\d_])"
    r"|[^\w\s.,;:!?'\"\-\u2010-\u2015\u2018-\u201d\u2026]|_"
)


class _Ending(Enum):
    """What an "s" at the end of a word would change."""

    PLURAL = auto()
    """It has one."""
    PLAIN = auto()
    """It may be a name, which would be another with it."""
    ANY = auto()
    """Nothing."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What a question asks."""

    words: tuple[str, ...]
    """In order: of what, and how they are related."""
    asked_for: frozenset[str]
    says_is: bool
    doings: int
    numbers: frozenset[str]
    symbols: tuple[tuple[str, int], ...]
    """Each with how many of the words come before it."""
    endings: tuple[_Ending, ...] = field(compare=False)
    """Of each of the words."""
    says_does: bool = field(compare=False)


def ask_the_same(one: str, other: str) -> bool:
    """Whether an answer to one is as good an answer to the other."""
    if one == other:
        return True
    # Of names these alone have plurals.
    one, other = (_DAYS.sub(r"\1", text) for text in (one, other))
    first, second = _form(one), _form(other)
    return first == second and _may_end(first, second) and not _names_differ(one, other)


def _may_end(one: _Form, other: _Form) -> bool:
    """Whether words that are the same but for an "s" may be: "tickets" and "a ticket".

    Not "adams" and "adam". Where one asks with "does", one word of the other may have its "s":
    "when does the tour leave", "tell me when the tour leaves".
    """
    ends = zip(one.endings, other.endings, strict=True)
    unlike = sum({first, second} == {_Ending.PLURAL, _Ending.PLAIN} for first, second in ends)
    return unlike <= int(one.says_does != other.says_does)


def _form(text: str) -> _Form:
    text = _plain(text)
    written, symbols = _taken_apart(text)
    words = [_settled(word) for word in written]
    asked_for = {word for word in words if word in QUESTION_WORDS}
    # Of two of them, each belongs to another thing: then their places matter.
    aspects = {word for word in words if word in ASPECTS}
    if len(aspects) == 1:
        asked_for |= aspects
    measured = not MEASURES.isdisjoint(asked_for)
    without = HARMLESS | BEING | DOING | asked_for
    if measured:
        # "The price of a ticket", "the ticket price".
        without |= {"of"}
    before = list(accumulate((word not in without for word in words), initial=0))
    kept = [at for at, word in enumerate(words) if word not in without]
    return _Form(
        tuple(words[at] for at in kept),
        frozenset(asked_for),
        not measured and not BEING.isdisjoint(words),
        # The first may only help another verb.
        max(1, sum(word in DOING for word in words)),
        numbers(text),
        tuple((symbol, before[at]) for symbol, at in symbols),
        tuple(_ending(written, at) for at in kept),
        "does" in written,
    )


def _taken_apart(text: str) -> tuple[list[str], list[tuple[str, int]]]:
    """The words of a text, and its symbols, each with how many words come before it."""
    words: list[str] = []
    symbols: list[tuple[str, int]] = []
    end = 0
    for found in _SYMBOL.finditer(text):
        words += tokens(text[end : found.start()])
        symbols.append((found[0], len(words)))
        end = found.end()
    words += tokens(text[end:])
    return words, symbols


def _ending(words: Sequence[str], at: int) -> _Ending:
    word = words[at]
    if _settled(word) in KNOWN:
        return _Ending.ANY
    is_one = at > 0 and words[at - 1] in ("a", "an") and words[at - 2 : at - 1] != ["letter"]
    if _singular(word) == word:
        return _Ending.ANY if is_one else _Ending.PLAIN
    # What is one of a kind has a name that ends so.
    return _Ending.PLURAL


def _plain(text: str) -> str:
    """Without courtesies, and with set phrases as one word each."""
    text = _marked(" ".join(text.replace("\u2019", "'").split()))
    text = _FRONTED.sub(r"\2 \1\3", text)
    while (shorter := COURTESIES.sub("", text)) != text:
        text = shorter
    for phrase, word in PHRASES:
        text = phrase.sub(word, text)
    return text


def _marked(text: str) -> str:
    """With a mark at names that are written like other words: "US", "Will", "Windows", "Big"."""
    if text.isupper():
        return text

    def mark(found: re.Match[str]) -> str:
        word = found[0]
        is_name = word[0].isupper() and (word.isupper() or found.start() > 0) and word != "I"
        small = word.casefold()
        is_word = small in STOP_WORDS or _settled(small) != small
        return f"{word}{_MARK}" if is_name and is_word else word

    return _WORD.sub(mark, text)


# A letter that no word ends with.
_MARK = "\u02bc"


def _settled(token: str) -> str:
    if (number := stem(token))[0].isdigit():
        return number
    if known := SAME_WORDS.get(token):
        return known
    singular = _singular(token)
    return SAME_WORDS.get(singular, singular)


def _singular(word: str) -> str:
    if len(word) < 4 or word in NO_PLURALS or word in STOP_WORDS or not word.endswith("s"):
        return word
    if word.endswith(("ss", "us", "is", "ous")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1]


def _names_differ(one: str, other: str) -> bool:
    """Whether both write names with capitals, and other ones."""
    first, second = _capitalised(one), _capitalised(other)
    return bool(first and second) and first != second


def _capitalised(text: str) -> frozenset[str]:
    """Words with a capital that no sentence asks for."""
    return frozenset(
        found[0].casefold()
        for found in _WORD.finditer(text)
        if found[0][0].isupper() and found[0] != "I" and not _begins_sentence(text, found.start())
    )


def _begins_sentence(text: str, at: int) -> bool:
    before = text[:at].rstrip()
    return not before or before[-1] in ".?!:\"'("
