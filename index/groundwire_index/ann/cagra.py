"""CAGRA: a graph of near neighbours that GPUs link and search.

Ootomo et al., "CAGRA: highly parallel graph construction and approximate nearest neighbor search
for GPUs", 2023. Its file is FAISS's `IndexHNSWCagra`, so that a machine without a GPU searches it
too. The graph has one level and no entry of its own: a search on the CPU begins at those of some
evenly spread vectors that are nearest to the query, the same ones each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from groundwire_index.ann import file
from groundwire_index.ann.geometry import Geometry, Points
from groundwire_index.ann.graph import check_flat_graph
from groundwire_index.ann.library import faiss, search_threads, using_threads
from groundwire_index.ann.linking import Link, Links, linked_by_cpu
from groundwire_index.ann.parameters import whole_numbers
from groundwire_index.ann.protocol import Ann, Asked, Bitmap, Positions, Tuning, Vectors
from groundwire_index.ann.scan import scan
from groundwire_index.ann.selection import Selection, completed
from groundwire_index.records import Metric
from groundwire_index.storage.segment_file import Matrix

_DEGREE = 64
_ALLOWED = {"graph_degree": range(8, 257, 8)}
_EF = 64
# No search on a GPU keeps more candidates: the CPU is the better one for it.
_MOST = 1024
_PIECE = 16_384
# Where walks may begin: so many times the root of the size, and the nearest of them.
_DOORS_PER_ROOT = 4
_DOORS = 8
# FAISS's name of a walk that begins at all of them at once.
_TOGETHER = 2


class Cagra:
    """The family."""

    kind = "cagra"

    def __init__(self, link: Link = linked_by_cpu) -> None:
        self._link = link

    def check(self, parameters: Mapping[str, str]) -> None:
        """``graph_degree`` links a vector."""
        whole_numbers(self.kind, parameters, _ALLOWED)

    def build(
        self,
        vectors: Vectors,
        metric: Metric,
        parameters: Mapping[str, str],
        path: Path,
        cancelled: Callable[[], bool],
        threads: int = 1,
    ) -> None:
        """Take all vectors into memory, and link them. A GPU that does so is not cancelled."""
        degree = whole_numbers(self.kind, parameters, _ALLOWED).get("graph_degree", _DEGREE)
        points = Points(vectors, metric)
        index = _empty(points.geometry, degree)
        storage = faiss().downcast_index(index.storage)
        file.add(storage, points.pieces(_PIECE), cancelled)
        every = faiss().rev_swig_ptr(storage.get_xb(), storage.ntotal * storage.d)
        every = every.reshape(storage.ntotal, storage.d)
        with using_threads(threads):
            _put(index, self._link(every, degree, points.geometry.distance, cancelled))
        file.write(index, path, cancelled)

    def open(self, path: Path, metric: Metric, dimension: int) -> Ann:
        """Map vectors and graph; the graph is read once, to check it."""
        geometry = Geometry(metric, dimension)
        return CagraAnn(file.read(path, lambda index: _check(index, geometry)), geometry)


class CagraAnn:
    """The graph of one file, as the CPU searches it."""

    def __init__(self, index: Any, geometry: Geometry) -> None:
        self.index = index
        self.size: int = index.ntotal
        self.bytes: int = self.size * (4 * geometry.width + 4 * index.hnsw.nb_neighbors(0))
        self._codes = faiss().downcast_index(index.storage)
        self._links: int = index.hnsw.nb_neighbors(0)
        self._geometry = geometry
        count = min(self.size, _DOORS_PER_ROOT * int(np.sqrt(self.size)))
        self._places = np.linspace(0, self.size - 1, count).astype(np.int32)
        self._doors = faiss().IndexFlat(geometry.width, geometry.distance)
        self._doors.add(self._codes.reconstruct_batch(self._places.astype(np.int64)))

    def search(
        self, queries: Matrix, depth: int, allowed: Bitmap | None, tuning: Tuning
    ) -> Positions:
        """By the graph; by all vectors where that is less work, or where the graph falls short."""
        selection = Selection(allowed, self.size)
        points = self._geometry.points(queries)
        count, effort = self._planned(depth, selection, tuning)

        def scanned(points: Matrix) -> Positions:
            return scan(self._codes, points, count, selection)

        with using_threads(search_threads(len(queries))):
            if effort * self._links >= selection.count:
                return scanned(points)
            found = self._walked(points, count, effort, selection)
            return completed(found, points, min(depth, selection.count), scanned)

    def asked(
        self, queries: Matrix, depth: int, selection: Selection, tuning: Tuning
    ) -> Asked | None:
        """The same of a GPU, unless the filter leaves too few of what its walk would meet."""
        count, effort = self._planned(depth, selection, tuning)
        if effort > _MOST:
            return None
        return Asked(self._geometry.points(queries), count, effort)

    def _planned(self, depth: int, selection: Selection, tuning: Tuning) -> tuple[int, int]:
        count = min(2 * depth + 20, self.size)
        return count, selection.widened(max(tuning.ef or _EF, count))

    def _walked(self, points: Matrix, count: int, effort: int, selection: Selection) -> Positions:
        library = faiss()
        apart, nearest = self._doors.search(points, min(_DOORS, len(self._places)))
        begin = np.ascontiguousarray(self._places[nearest])
        distances = np.empty((len(points), count), np.float32)
        found = np.empty((len(points), count), np.int64)
        parameters = library.SearchParametersHNSW(efSearch=effort, sel=selection.selector)
        pointers = map(library.swig_ptr, (begin, apart, distances, found))
        self.index.search_level_0(
            len(points),
            library.swig_ptr(points),
            count,
            *pointers,
            begin.shape[1],
            _TOGETHER,
            parameters,
        )
        return found


def _empty(geometry: Geometry, degree: int) -> Any:
    index = faiss().IndexHNSWCagra(geometry.width, degree // 2, geometry.distance)
    index.base_level_only = True
    return index


def _put(index: Any, links: Links) -> None:
    library, size = faiss(), index.storage.ntotal
    library.copy_array_to_vector(np.ones(size, np.int32), index.hnsw.levels)
    index.hnsw.prepare_level_tab(size, True)
    room = library.rev_swig_ptr(index.hnsw.neighbors.data(), index.hnsw.neighbors.size())
    room.reshape(links.shape)[:] = links
    index.ntotal = size


def _check(index: Any, geometry: Geometry) -> None:
    library = faiss()
    file.require(isinstance(index, library.IndexHNSWCagra), "not a graph that a GPU linked")
    file.require(index.d == geometry.width, "another dimension")
    file.require(index.metric_type == geometry.distance, "another metric")
    storage = library.downcast_index(index.storage)
    file.require(isinstance(storage, library.IndexFlat), "no vectors")
    file.require(storage.d == geometry.width, "vectors of another dimension")
    file.require(storage.metric_type == geometry.distance, "vectors of another metric")
    file.require(storage.ntotal == index.ntotal, "another number of vectors")
    file.require(storage.code_size == 4 * geometry.width, "vectors of another size")
    file.require(storage.codes.size() == index.ntotal * storage.code_size, "vectors are missing")
    check_flat_graph(index.hnsw, index.ntotal)
