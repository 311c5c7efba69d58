"""The stem of an English word, by Porter's algorithm.

M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980. A stem is not a word:
it is what the inflections of a word, and many of its derivations, have in common.
"""

from __future__ import annotations

import re
from functools import lru_cache

# A word is (consonants) (vowels consonants){m} (vowels), and m is its measure. A "y" is a
# vowel after a consonant; the first letter's is written "Y" while a word is stemmed.
_CONSONANTS = "[^aeiou][^aeiouy]*"
_VOWELS = "[aeiouy][aeiou]*"
_MEASURE_ABOVE_0 = re.compile(f"(?:{_CONSONANTS})?{_VOWELS}{_CONSONANTS}")
_MEASURE_ABOVE_1 = re.compile(f"(?:{_CONSONANTS})?(?:{_VOWELS}{_CONSONANTS}){{2}}")
_MEASURE_1 = re.compile(f"(?:{_CONSONANTS})?{_VOWELS}{_CONSONANTS}(?:{_VOWELS})?$")
_HAS_VOWEL = re.compile(f"(?:{_CONSONANTS})?[aeiouy]")
_ENDS_CVC = re.compile(f"{_CONSONANTS}[aeiouy][^aeiouwxy]$")
_ENDS_DOUBLE = re.compile(r"([^aeiouylsz])\1$")

_STEP_2 = {
    "ational": "ate",
    "tional": "tion",
    "enci": "ence",
    "anci": "ance",
    "izer": "ize",
    "bli": "ble",
    "alli": "al",
    "entli": "ent",
    "eli": "e",
    "ousli": "ous",
    "ization": "ize",
    "ation": "ate",
    "ator": "ate",
    "alism": "al",
    "iveness": "ive",
    "fulness": "ful",
    "ousness": "ous",
    "aliti": "al",
    "iviti": "ive",
    "biliti": "ble",
    "logi": "log",
}
_STEP_3 = {
    "icate": "ic",
    "ative": "",
    "alize": "al",
    "iciti": "ic",
    "ical": "ic",
    "ful": "",
    "ness": "",
}
_STEP_4 = "al|ance|ence|er|ic|able|ible|ant|ement|ment|ent|(?<=[st])ion|ou|ism|ate|iti|ous|ive|ize"
_ENDING_2 = re.compile(f"(.+?)({'|'.join(_STEP_2)})$")
_ENDING_3 = re.compile(f"(.+?)({'|'.join(_STEP_3)})$")
_ENDING_4 = re.compile(f"(.+?)({_STEP_4})$")
_LEAST_LETTERS = 3


@lru_cache(maxsize=2**16)
def stem(word: str) -> str:
    """The stem of a word of lower-case letters a to z; of anything else, itself."""
    if len(word) < _LEAST_LETTERS or not (word.isascii() and word.isalpha()):
        return word
    first = word[0]
    word = ("Y" if first == "y" else first) + word[1:]
    for step in (_plural, _participle, _final_y, _double_suffix, _suffix, _last_suffix, _final_e):
        word = step(word)
    return first + word[1:]


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _participle(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _MEASURE_ABOVE_0.match(word[:-3]) else word
    for ending in ("ed", "ing"):
        base = word.removesuffix(ending)
        if base != word:
            return _mended(base) if _HAS_VOWEL.match(base) else word
    return word


def _mended(base: str) -> str:
    """What stands before -ed or -ing, with the e that it lost, or without the doubled letter."""
    if base.endswith(("at", "bl", "iz")):
        return base + "e"
    if _ENDS_DOUBLE.search(base):
        return base[:-1]
    return base + "e" if _MEASURE_1.match(base) and _ENDS_CVC.match(base) else base


def _final_y(word: str) -> str:
    return word[:-1] + "i" if word.endswith("y") and _HAS_VOWEL.match(word[:-1]) else word


def _double_suffix(word: str) -> str:
    return _replaced(word, _ENDING_2, _STEP_2)


def _suffix(word: str) -> str:
    return _replaced(word, _ENDING_3, _STEP_3)


def _replaced(word: str, ending: re.Pattern[str], instead: dict[str, str]) -> str:
    found = ending.match(word)
    if found is None or not _MEASURE_ABOVE_0.match(found[1]):
        return word
    return found[1] + instead[found[2]]


def _last_suffix(word: str) -> str:
    found = _ENDING_4.match(word)
    return found[1] if found and _MEASURE_ABOVE_1.match(found[1]) else word


def _final_e(word: str) -> str:
    base = word.removesuffix("e")
    if base != word and (
        _MEASURE_ABOVE_1.match(base) or (_MEASURE_1.match(base) and not _ENDS_CVC.match(base))
    ):
        word = base
    return word[:-1] if word.endswith("ll") and _MEASURE_ABOVE_1.match(word) else word
