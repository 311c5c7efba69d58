"""What filters can ask of a record's metadata, in a form in which Milvus answers as we do.

A fact is named by a letter for its kind and the word of its field's path:

- ``x``: the field is there and not null.
- ``n``, ``t``, ``b``: the words of its numbers, texts and booleans, those in a list included: the
  least, the greatest, then the rest.
- ``m``: if there is more than one text, all of them in one string, each between `BEGIN` and `END`.

So each fact holds values of one type, and a comparison with a missing one can be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from groundwire_index.filter_checks import MAX_FIELD_CHARACTERS
from groundwire_index.filters import Scalar
from groundwire_index.milvus.words import number_word, text_word
from groundwire_index.records import JsonValue, Metadata

PRESENT = "x"
MANY_TEXTS = "m"
BEGIN, END = "0", "1"

Fact = int | str | list[str]


class Kind(Enum):
    """A type that values are compared within."""

    NUMBER = "n"
    TEXT = "t"
    TRUTH = "b"


def word_of(value: Scalar) -> tuple[Kind, str]:
    """A value's type, and its word."""
    match value:
        case bool():
            return Kind.TRUTH, "1" if value else "0"
        case str():
            return Kind.TEXT, text_word(value)
    return Kind.NUMBER, number_word(value)


def facts_of(metadata: Metadata) -> dict[str, Fact]:
    """All facts of a record's metadata."""
    facts: dict[str, Fact] = {}
    for path, value in _fields(metadata, ""):
        name = text_word(path)
        facts[PRESENT + name] = 1
        for kind, words in _words(value).items():
            facts[kind.value + name] = [words[0], words[-1], *words[1:-1]]
            if kind is Kind.TEXT and len(words) > 1:
                facts[MANY_TEXTS + name] = "".join(BEGIN + word + END for word in words)
    return facts


def _fields(values: Metadata, above: str) -> Iterator[tuple[str, JsonValue]]:
    """Each field that is not null, by the path with which a filter reaches it."""
    for key, value in values.items():
        path = above + key
        # No path leads through a key with a dot.
        if value is None or "." in key or len(path) > MAX_FIELD_CHARACTERS:
            continue
        if path:
            yield path, value
        if isinstance(value, dict):
            yield from _fields(value, path + ".")


def _words(value: JsonValue) -> dict[Kind, list[str]]:
    found: dict[Kind, set[str]] = {}
    for element in value if isinstance(value, list) else [value]:
        if isinstance(element, bool | int | float | str):
            kind, word = word_of(element)
            found.setdefault(kind, set()).add(word)
    return {kind: sorted(words) for kind, words in found.items()}
