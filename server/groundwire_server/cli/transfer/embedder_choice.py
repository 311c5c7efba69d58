"""Whether vectors that are brought along are those that the server would have made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from groundwire import Client, Record
from groundwire.vectors import decode, encode

SAMPLE = 16
# Characters: enough for any text that says which model made its vector.
LONGEST = 10_000
# Other builds of one model differ in the fourth digit; other models, and other prefixes, by far
# more than this.
SAME_MODEL_COSINE = 0.99


def choose_embedder(client: Client, records: Sequence[Record]) -> Literal["", "none"]:
    """The server's embedder ("") if it makes the same vectors of these texts, else "none".

    With the embedder, the collection answers searches by text, not only by vector. Nobody is
    asked for a model's name, which says little about pooling and prefixes: some of the
    vectors are made again and compared. Records that bring none need the embedder.
    """
    if any(record.vector is None for record in records):
        return ""
    sample = [record for record in records if _is_embeddable(record.text or "")][:SAMPLE]
    if not sample:
        return "none"
    made = client.embed([record.text or "" for record in sample]).vectors
    pairs = zip(sample, made, strict=True)
    alike = all(_cosine(record.vector, vector) > SAME_MODEL_COSINE for record, vector in pairs)
    return "" if alike else "none"


def _is_embeddable(text: str) -> bool:
    whole = text == text.encode(errors="ignore").decode()
    return whole and bool(text) and not text.isspace() and len(text) <= LONGEST


def _cosine(given: object, made: Sequence[float]) -> float:
    one = decode(encode(given))  # type: ignore[arg-type]
    if len(one) != len(made):
        return 0.0
    return _dot(one, made) / (math.hypot(*one) * math.hypot(*made) or 1.0)


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
