"""Ranking by words: BM25 (k1 = 1.2, b = 0.75) over English stems, by SQLite's FTS5.

Each collection has a lexicon of its own, so no other tenant's or collection's texts have a
part in how rare a word is.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Collection
from itertools import groupby

# Beyond this many different words a query says nothing that fewer would not.
MAX_TERMS = 256
# What FTS5's tokenizer makes words of: letters, numbers, private use, and marks on them.
_WORD_CATEGORIES = frozenset("LNM")
_BATCH = 512


def match_expression(text: str) -> str:
    """Any of the words of a text, as FTS5 wants it; empty if there are none.

    Every word is quoted, so nothing in the text is ever taken for an operator.
    """
    words: dict[str, str] = {}
    for is_word, characters in groupby(text, _is_word_character):
        if is_word:
            word = "".join(characters)
            words.setdefault(word.casefold(), word)
            if len(words) == MAX_TERMS:
                break
    return " OR ".join(f'"{word}"' for word in words.values())


def rank_by_words(
    connection: sqlite3.Connection, text: str, depth: int, allowed: Collection[int] | None
) -> list[tuple[int, float]]:
    """The ``depth`` best ``(row, score)`` of live rows, best first, and ties with the last.

    With ``allowed``, only its rows count.
    """
    expression = match_expression(text)
    if not expression:
        return []
    found = connection.execute(
        "SELECT row, -rank FROM (SELECT rowid AS row, rank FROM lexicon WHERE lexicon MATCH ? "
        "ORDER BY rank)",
        (expression,),
    )
    ranking: list[tuple[int, float]] = []
    while batch := found.fetchmany(_BATCH):
        for row, score in batch:
            if allowed is not None and row not in allowed:
                continue
            if len(ranking) >= depth and score < ranking[depth - 1][1]:
                return ranking
            ranking.append((row, score))
    return ranking


def _is_word_character(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in _WORD_CATEGORIES or category == "Co"
