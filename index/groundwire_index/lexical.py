"""Ranking by words: BM25 over terms.

Each collection has a lexicon of its own, so no other tenant's or collection's texts have a
part in how rare a word is.

The score of a text is the sum, over the terms of the query that it holds, of

    log(1 + (N - n + 0.5) / (n + 0.5)) * f * (k1 + 1) / (f + k1 * (1 - b + b * L / M))

for a term that occurs f times in it and in n of all N texts, where L is the text's number of
terms and M the mean (Robertson and Zaragoza, 2009, with Lucene's form of the first factor,
which is never negative). k1 = 0.9 and b = 0.4 are Anserini's, with which the baselines of BEIR
were published.
"""

from __future__ import annotations

import math
import sqlite3

import numpy as np
from numpy.typing import NDArray

from groundwire_index.inversion import BLOCK
from groundwire_index.postings import Lexicon, Postings, read_lexicon, read_postings
from groundwire_index.terms import query_terms

K1 = 0.9
B = 0.4

Rows = NDArray[np.int64]
Scores = NDArray[np.float64]


def rank_by_words(
    connection: sqlite3.Connection, text: str, depth: int, allowed: Rows | None
) -> list[tuple[int, float]]:
    """The ``depth`` best ``(row, score)`` of live rows, best first, and ties with the last.

    With ``allowed``, row numbers in ascending order, only these count.
    """
    found = read_postings(connection, query_terms(text))
    if not found:
        return []
    rows, scores = _summed(found, read_lexicon(connection))
    if allowed is not None:
        counted = _among(rows, allowed)
        rows, scores = rows[counted], scores[counted]
    return _best(rows, scores, depth)


def _summed(found: list[Postings], lexicon: Lexicon) -> tuple[Rows, Scores]:
    """Rows that hold any of the terms, ascending, and their scores."""
    every = np.concatenate([postings.rows for postings in found])
    blocks, offsets = np.divmod(every, BLOCK)
    # A counter for each row of the blocks that occur, whatever is gone between them.
    occurs = np.bincount(blocks) > 0
    counters = (np.cumsum(occurs) - 1)[blocks] * BLOCK + offsets
    scores = np.bincount(counters, np.concatenate([_scores(one, lexicon) for one in found]))
    held = np.flatnonzero(scores)
    places, offsets = np.divmod(held, BLOCK)
    rows: Rows = np.flatnonzero(occurs)[places] * BLOCK + offsets
    return rows, scores[held].astype(np.float64, copy=False)


def _scores(postings: Postings, lexicon: Lexicon) -> Scores:
    holding = len(postings.rows)
    rarity = math.log(1 + (lexicon.texts - holding + 0.5) / (holding + 0.5))
    length = 1 - B + B * postings.lengths / lexicon.mean_length
    return rarity * postings.counts * (K1 + 1) / (postings.counts + K1 * length)


def _among(rows: Rows, allowed: Rows) -> NDArray[np.bool_]:
    if not len(allowed):
        return np.zeros(len(rows), np.bool_)
    places = np.minimum(np.searchsorted(allowed, rows), len(allowed) - 1)
    counted: NDArray[np.bool_] = allowed[places] == rows
    return counted


def _best(rows: Rows, scores: Scores, depth: int) -> list[tuple[int, float]]:
    if len(scores) > depth:
        least = np.partition(scores, len(scores) - depth)[len(scores) - depth]
        kept = scores >= least
        rows, scores = rows[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")
    return list(zip(rows[order].tolist(), scores[order].tolist(), strict=True))
