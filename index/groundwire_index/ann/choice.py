"""Which kind of index a collection gets that does not say."""

from __future__ import annotations

from groundwire_index.ann.library import available

FLAT_BELOW = 10_000
"""Comparing so many vectors of 384 dimensions takes about a millisecond, a graph a tenth of it
but some time to build."""
LISTS_FROM = 500_000
"""A graph over so many holds 270 MB that a search jumps about in, inverted lists 65 MB."""


def kind_for(size: int) -> str:
    """``flat``, or the name of a family; without FAISS it is ``flat`` whatever the size."""
    if size < FLAT_BELOW or not available():
        return "flat"
    return "hnsw" if size < LISTS_FROM else "ivf_pq"
