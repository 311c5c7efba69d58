"""Whether a place of a passage supports a claim: by its words, and by what they mean.

The two are added up: who quotes need not be similar, and who says it in other words must mean
the same. The threshold is from the sample answers; `python -m tests.bench grounding` shows what
it does with them, and what others would do.
"""

from __future__ import annotations

from collections.abc import Sequence

from groundwire_server.grounding.support import Place

# Least sum of coverage and similarity.
SUPPORTS = 1.1
# Least coverage, where similarity cannot be told.
SUPPORTS_BY_WORDS = 0.6


def supporting(places: Sequence[Place], similarities: Sequence[float]) -> Place | None:
    """The place that supports the claim best, one similarity for each; None if none does."""
    rated = [
        (place.coverage + similarity, place)
        for place, similarity in zip(places, similarities, strict=True)
    ]
    best, place = max(rated, key=lambda one: one[0], default=(0.0, None))
    return place if best >= SUPPORTS else None


def supporting_by_words(places: Sequence[Place]) -> Place | None:
    """The same by words alone; ``places`` are best first."""
    return next((place for place in places if place.coverage >= SUPPORTS_BY_WORDS), None)
