"""How much a memory matters for a query.

    score = 0.6 semantic + 0.2 lexical + 0.1 recency + 0.1 importance

A weighted sum of relevance, recency and importance, as in Park et al., "Generative Agents", UIST
2023, with relevance by meaning and by words. There each part is scaled by the best of the
candidates; here each is 0 to 1 by itself, so that a score says the same in every answer, and what
was not asked for does not win by being new.

- semantic: the cosine of query and text, negatives as 0;
- lexical: s / (s + 6) of the BM25 score s;
- recency: 0.5 to the power of the days since it holds, by 30;
- importance: as given.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from groundwire_server.memory.memories.memory import Memory, Recalled

SEMANTIC, LEXICAL, RECENCY, IMPORTANCE = 0.6, 0.2, 0.1, 0.1
HALF_LIFE = timedelta(days=30)
HALF_RELEVANT_BM25 = 6.0


def scored(memory: Memory, at: datetime, *, cosine: float, bm25: float) -> Recalled:
    """Score a memory as of a time."""
    semantic = min(1.0, max(0.0, cosine))
    words = max(0.0, bm25)
    lexical = words / (words + HALF_RELEVANT_BM25)
    recency = _recency(memory, at)
    score = (
        SEMANTIC * semantic + LEXICAL * lexical + RECENCY * recency + IMPORTANCE * memory.importance
    )
    return Recalled(memory, score, semantic, lexical, recency)


def _recency(memory: Memory, at: datetime) -> float:
    age = max(at - memory.valid_from, timedelta())
    halved: float = 0.5 ** (age / HALF_LIFE)
    return halved
