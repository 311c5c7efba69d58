"""Words as evidence: which ones carry meaning, and when two of them are the same."""

from __future__ import annotations

import re

# A number keeps its separators ("2.4", "19:30"); a script without spaces gives one token for
# each character.
_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*"
    r"|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"
    r"|[^\W\d_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+(?:['\u2019][^\W\d_]+)?"
)
_NAME = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
# Not the hyphen of a range or of a name: "3-5", "F-16".
_MINUS = re.compile(r"(?:(?:^|[^\w.,:%])[-\u2212]|\bminus\s)\Z")
_LONGEST_MINUS = len(" minus ")
_PERCENT = re.compile(r"\s?(?:%|per\s?cent\b)")
_THOUSANDS = re.compile(r",(?=\d{3}(?:\D|$))")


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is written as text."""
    return frozenset(text.split())


# Function words of English: they join a sentence but say nothing on their own.
STOP_WORDS = word_set(
    """
    a about above after again all also am an and any are aren't as at be because been before
    being below between both but by can cannot can't could couldn't did didn't do does doesn't
    doing don't down during each either else few for from further had has have having he her
    here hers him his how however i if in into is isn't it it's its itself just let's me more
    most my neither no nor not of off on once only or other our ours out over own per same she
    should so some such than that that's the their theirs them then there therefore these they
    this those through thus to too under until up upon us very was wasn't we were weren't what
    when where whether which while who whom whose why will with within without won't would
    wouldn't you your yours
    """
)

# Words that turn a statement around.
NEGATIONS = word_set(
    """
    no not never none nobody nothing neither nor without cannot can't don't doesn't didn't
    isn't aren't wasn't weren't won't wouldn't shouldn't couldn't hasn't haven't hadn't mustn't
    """
)

_SMALL_NUMBERS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty
"""
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_SMALL_NUMBERS.split())} | {
    word: str(value) for value, word in zip(range(30, 100, 10), _TENS.split(), strict=True)
}
# A pronoun more often than a number.
del _NUMBER_WORDS["one"]


def tokens(text: str) -> list[str]:
    """The words and numbers of a text, in order, in lower case."""
    return [token.replace("\u2019", "'") for token in _TOKEN.findall(text.casefold())]


def stem(word: str) -> str:
    """The part of an English word that its inflections share.

    The first step of Porter's algorithm (1980) in short: plural, past and -ing endings go, and
    a final e or y no longer tells words apart. Over-stemming is harmless here, because a word
    is only ever compared with the few words of one passage.
    """
    if number := _NUMBER_WORDS.get(word):
        return number
    if word[0].isdigit():
        return _THOUSANDS.sub("", word)
    word = word.removesuffix("'s")
    if len(word) > 3:
        word = _without_plural(word)
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) > 2 and re.search("[aeiouy]", base):
            word = _undoubled(base)
            break
    if len(word) > 4 and word.endswith("ly"):
        word = word[:-2]
    return re.sub("y$", "i", re.sub("(?<=..)e$", "", word))


def content_words(text: str) -> list[str]:
    """Stems of the words and numbers that carry meaning, in order, repeats included."""
    return [stem(token) for token in tokens(text) if token not in STOP_WORDS]


def numbers(text: str) -> frozenset[str]:
    """The numbers in digits, without thousands separators; of those in words up to "ninety".

    With a minus ("-5", also for "minus five") and a percent sign ("5%", also for "5 per cent").
    """
    folded = text.casefold()
    found = []
    for token in _TOKEN.finditer(folded):
        number = stem(token[0].replace("\u2019", "'"))
        if number[0].isdigit():
            before = folded[max(0, token.start() - _LONGEST_MINUS) : token.start()]
            sign = "-" if _MINUS.search(before) else ""
            percent = "%" if _PERCENT.match(folded, token.end()) else ""
            found.append(f"{sign}{number}{percent}")
    return frozenset(found)


def names(text: str) -> frozenset[str]:
    """Stems of the words that are capitalised where a sentence does not ask for it."""
    first, *others = _NAME.findall(text) or [""]
    named = [word for word in others if word[0].isupper()]
    if sum(map(str.isupper, first)) > 1:
        named.append(first)
    return frozenset(word for one in named for word in content_words(one))


def denied_words(text: str, reach: int = 3) -> frozenset[str]:
    """Stems of the words that a negation is about: up to ``reach`` content words after it."""
    denied: list[str] = []
    left = 0
    for token in tokens(text):
        if token in NEGATIONS:
            left = reach
        elif left and token not in STOP_WORDS:
            denied.append(stem(token))
            left -= 1
    return frozenset(denied)


def _without_plural(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _undoubled(base: str) -> str:
    double = len(base) > 2 and base[-1] == base[-2] and base[-1] not in "lsz"
    return base[:-1] if double else base
