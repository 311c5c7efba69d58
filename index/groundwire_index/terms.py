"""The terms of a text: what the keyword search counts and compares.

Words are runs of letters, digits and the marks on them, without case, without accents, and in
the compatibility form of Unicode; English ones are stemmed. In scripts that put no spaces
between words each character is a term, and so is each pictograph, wherever it stands.

What is stored was made by these rules: whoever changes them changes `schema.VERSION`.
"""

from __future__ import annotations

import unicodedata

from groundwire_index.porter import stem

# Beyond this many different terms a query says nothing that fewer would not.
MAX_TERMS = 256

# They join a sentence and say nothing on their own; with what contractions leave ("don't" is
# "don" and "t" here).
FUNCTION_WORDS = frozenset(
    """
    a about above after again against ain all am an and any are aren as at be because been before
    being below between both but by can could couldn d did didn do does doesn doing don down
    during each few for from further had hadn has hasn have haven having he her here hers herself
    him himself his how i if in into is isn it its itself just ll m me more most my myself no nor
    not now of off on once only or other our ours ourselves out over own re s same she should
    shouldn so some such t than that the their theirs them themselves then there these they this
    those through to too under until up ve very was wasn we were weren what when where which while
    who whom why will with won would wouldn you your yours yourself yourselves
    """.split()  # noqa: SIM905 - a list of one a line is longer than the module
)

# First and last characters of scripts without spaces between words: Thai and Lao, Burmese,
# Khmer, Japanese and Chinese; and Korean, whose particles cling to the word.
_SPACELESS = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3005", "\u3007"),
    ("\u3040", "\u30ff"),
    ("\u31f0", "\u31ff"),
    ("\u3400", "\u4dbf"),
    ("\u4e00", "\u9fff"),
    ("\uac00", "\ud7af"),
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)
_ACCENTS = dict.fromkeys(range(0x300, 0x370))
# Would become letters of the word before them.
_TRADE_MARKS = dict.fromkeys((0x2120, 0x2122), " ")
_ZERO_WIDTH_SPACE = "\u200b"
_VARIATION_SELECTORS = ("\ufe00", "\ufe0f")


def words(text: str) -> list[str]:
    """The words of a text in order, folded and not stemmed."""
    return _folded(text).translate(_SPACED).split()


def terms(text: str) -> list[str]:
    """The terms of a text in order, as often as they occur."""
    return [stem(word) for word in words(text)]


def query_terms(text: str) -> list[str]:
    """The different terms to look for, at most `MAX_TERMS`.

    English function words are among them only if there are no others.
    """
    asked = words(text)
    telling = [word for word in asked if word not in FUNCTION_WORDS]
    return list(dict.fromkeys(map(stem, telling or asked)))[:MAX_TERMS]


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.translate(_TRADE_MARKS)).casefold()
    return unicodedata.normalize("NFC", parts.translate(_ACCENTS))


class _Spaced(dict[int, str]):
    """For `str.translate`: characters of words as they are, white space for what parts them."""

    def __missing__(self, code: int) -> str:
        self[code] = _spaced(chr(code))
        return self[code]


def _spaced(character: str) -> str:
    category = unicodedata.category(character)
    if category == "So" or any(low <= character <= high for low, high in _SPACELESS):
        return f" {character} "
    low, high = _VARIATION_SELECTORS
    if low <= character <= high or (category == "Cf" and character != _ZERO_WIDTH_SPACE):
        return ""
    return character if category[0] in "LNM" or category == "Co" else " "


_SPACED = _Spaced()
