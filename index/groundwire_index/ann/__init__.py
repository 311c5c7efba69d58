"""Approximate indexes on FAISS, one file for each family.

They only propose candidates, which the caller scores exactly: see `protocol`.
"""

from collections.abc import Mapping

from groundwire_index.ann.choice import kind_for
from groundwire_index.ann.hnsw import Hnsw
from groundwire_index.ann.ivf_pq import IvfPq
from groundwire_index.ann.library import available
from groundwire_index.ann.protocol import (
    Ann,
    Bitmap,
    BuildCancelledError,
    Family,
    Positions,
    Tuning,
    Vectors,
)
from groundwire_index.ann.sq8 import Sq8

FAMILIES: Mapping[str, Family] = {family.kind: family for family in (Hnsw(), IvfPq(), Sq8())}

__all__ = [
    "FAMILIES",
    "Ann",
    "Bitmap",
    "BuildCancelledError",
    "Family",
    "Positions",
    "Tuning",
    "Vectors",
    "available",
    "kind_for",
]
