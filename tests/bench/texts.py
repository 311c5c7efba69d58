"""Texts to measure with: sentences of the sample handbook, in an order that none had before."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "samples" / "source"


def sentences() -> list[str]:
    """All sentences of the handbook."""
    return [
        sentence.strip() + "."
        for path in sorted(SOURCES.glob("*.md"))
        for sentence in path.read_text().replace("\n", " ").split(". ")
    ]


def passages(count: int, *, seed: int, characters: int = 250) -> list[str]:
    """Texts of about so many characters."""
    rng = random.Random(seed)
    known = sentences()
    return [_passage(rng, known, characters) for _ in range(count)]


def _passage(rng: random.Random, known: Sequence[str], characters: int) -> str:
    text = rng.choice(known)
    while len(text) < characters:
        text += " " + rng.choice(known)
    return text[:characters]
