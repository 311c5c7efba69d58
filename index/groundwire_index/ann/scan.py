"""Compares a query with every code of an index, or with those that are allowed."""

from __future__ import annotations

from typing import Any

from groundwire_index.ann.library import faiss
from groundwire_index.ann.protocol import Positions
from groundwire_index.ann.selection import Selection
from groundwire_index.storage.segment_file import Matrix


def scan(codes: Any, points: Matrix, count: int, selection: Selection) -> Positions:
    """The nearest ``count`` of the selection, shape (points, count)."""
    parameters = faiss().SearchParameters(sel=selection.selector)
    found: Positions = codes.search(points, count, params=parameters)[1]
    return found
