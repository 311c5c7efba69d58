"""Links of a graph on one level: what a GPU finds for CAGRA, and how the CPU stands in for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from groundwire_index.ann.file import array, stop_if
from groundwire_index.ann.library import faiss
from groundwire_index.storage.segment_file import Matrix

Links: TypeAlias = NDArray[np.int64]
Link: TypeAlias = "Callable[[Matrix, int, int, Callable[[], bool]], Links]"
"""Links each of some points to ``degree`` others, by FAISS's number of a metric; may be cancelled.

Shape (points, degree); every link names a point, some twice where there are few."""

# Fewer are linked by comparing all with all.
_FEW = 1024
_EF_CONSTRUCTION = 160
# Under a second of linking.
_PIECE = 1024


def linked_by_cpu(
    points: Matrix, degree: int, distance: int, cancelled: Callable[[], bool]
) -> Links:
    """The lowest level of HNSW."""
    if len(points) < _FEW:
        return _nearest(points, degree, distance)
    graph = faiss().IndexHNSWFlat(points.shape[1], degree // 2, distance)
    graph.hnsw.efConstruction = _EF_CONSTRUCTION
    for start in range(0, len(points), _PIECE):
        stop_if(cancelled)
        graph.add(points[start : start + _PIECE])
    return _filled(lowest_level(graph.hnsw, degree))


def lowest_level(graph: Any, degree: int) -> Links:
    """The links of all points on the lowest level of a graph, -1 where there is none."""
    begin = array(graph.offsets)[:-1].astype(np.int64)
    links: Links = array(graph.neighbors)[begin[:, None] + np.arange(degree)].astype(np.int64)
    return links


def _filled(links: Links) -> Links:
    """The first links once more in the place of those that are not there; else to itself."""
    count = np.count_nonzero(links >= 0, axis=1)[:, None]
    again = np.take_along_axis(links, np.arange(links.shape[1]) % np.maximum(count, 1), axis=1)
    return np.where(again < 0, np.arange(len(links))[:, None], again)


def _nearest(points: Matrix, degree: int, distance: int) -> Links:
    near = min(degree, len(points))
    found: Links = faiss().knn(points, points, near, metric=distance)[1]
    return found[:, np.arange(degree) % near]
