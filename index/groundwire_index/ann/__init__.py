"""Approximate indexes on FAISS, one file for each family.

They only propose candidates, which the caller scores exactly: see `protocol`.
"""

from collections.abc import Mapping

from groundwire_index.ann.cagra import Cagra
from groundwire_index.ann.choice import kind_for
from groundwire_index.ann.codes import Train, trained_by_cpu
from groundwire_index.ann.hnsw import Hnsw
from groundwire_index.ann.ivf_pq import IvfPq
from groundwire_index.ann.library import available
from groundwire_index.ann.linking import Link, linked_by_cpu
from groundwire_index.ann.protocol import (
    Ann,
    Asked,
    Bitmap,
    BuildCancelledError,
    Family,
    Positions,
    Tuning,
    Vectors,
)
from groundwire_index.ann.sq8 import Sq8


def families(link: Link = linked_by_cpu, train: Train = trained_by_cpu) -> Mapping[str, Family]:
    """All of them by name; what a GPU can do for them is done by ``link`` and ``train``."""
    return {family.kind: family for family in (Hnsw(), IvfPq(train), Sq8(), Cagra(link))}


FAMILIES = families()
"""Those of a machine without a GPU."""

__all__ = [
    "FAMILIES",
    "Ann",
    "Asked",
    "Bitmap",
    "BuildCancelledError",
    "Family",
    "Link",
    "Positions",
    "Train",
    "Tuning",
    "Vectors",
    "available",
    "families",
    "kind_for",
    "linked_by_cpu",
    "trained_by_cpu",
]
