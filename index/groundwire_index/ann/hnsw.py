"""HNSW: a graph of near neighbours, over codes of one byte a dimension.

The codes make the graph half as slow to build and to search as one over float32, and a third of
its size; with the candidates scored exactly it finds more, not less (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from groundwire_index.ann import file
from groundwire_index.ann.geometry import Geometry, Points
from groundwire_index.ann.graph import check_graph
from groundwire_index.ann.library import faiss, search_threads, using_threads
from groundwire_index.ann.parameters import whole_numbers
from groundwire_index.ann.protocol import Ann, Bitmap, Positions, Tuning, Vectors
from groundwire_index.ann.scan import scan
from groundwire_index.ann.selection import Selection, completed
from groundwire_index.ann.sq8 import SAMPLE, check_codes, clip, proposed
from groundwire_index.records import Metric
from groundwire_index.storage.segment_file import Matrix

_M = 16
_EF_CONSTRUCTION = 160
_EF = 64
_ALLOWED = {"m": range(4, 129), "ef_construction": range(8, 2049)}
# Under half a second of building, so that a build ends soon after it is cancelled.
_PIECE = 1024


class Hnsw:
    """The family."""

    kind = "hnsw"

    def check(self, parameters: Mapping[str, str]) -> None:
        """``m`` links a vector, found among ``ef_construction`` candidates."""
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
        """Link one vector after the other."""
        points = Points(vectors, metric)
        index = self._empty(points.geometry, parameters)
        with using_threads(threads):
            index.train(points.sample(SAMPLE))
            file.add(index, points.pieces(_PIECE), cancelled)
        file.write(index, path, cancelled)

    def open(self, path: Path, metric: Metric, dimension: int) -> Ann:
        """Map graph and codes; the graph is read once, to check it."""
        geometry = Geometry(metric, dimension)

        def check(index: Any) -> None:
            file.require(isinstance(index, faiss().IndexHNSWSQ), "not a graph over codes")
            file.require(index.d == geometry.width, "another dimension")
            file.require(index.metric_type == geometry.distance, "another metric")
            check_codes(faiss().downcast_index(index.storage), geometry, index.ntotal)
            check_graph(index.hnsw, index.ntotal)

        return HnswAnn(file.read(path, check), geometry)

    def _empty(self, geometry: Geometry, parameters: Mapping[str, str]) -> Any:
        numbers = whole_numbers(self.kind, parameters, _ALLOWED)
        library = faiss()
        index = library.IndexHNSWSQ(
            geometry.width,
            library.ScalarQuantizer.QT_8bit,
            numbers.get("m", _M),
            geometry.distance,
        )
        clip(library.downcast_index(index.storage).sq, geometry.metric)
        index.hnsw.efConstruction = numbers.get("ef_construction", _EF_CONSTRUCTION)
        return index


class HnswAnn:
    """The graph of one file."""

    def __init__(self, index: Any, geometry: Geometry) -> None:
        self._index = index
        self._codes = faiss().downcast_index(index.storage)
        self._links: int = index.hnsw.nb_neighbors(1)
        self._geometry = geometry
        self.size: int = index.ntotal

    def search(
        self, queries: Matrix, depth: int, allowed: Bitmap | None, tuning: Tuning
    ) -> Positions:
        """By the graph; by all codes where that is less work, or where the graph falls short."""
        selection = Selection(allowed, self.size)
        points = self._geometry.points(queries)
        count = min(proposed(depth), self.size)
        # A walk finds the last of its candidates less surely than the first.
        effort = selection.widened(max(tuning.ef or _EF, 2 * depth + 20))

        def scanned(points: Matrix) -> Positions:
            return scan(self._codes, points, count, selection)

        with using_threads(search_threads(len(queries))):
            # Each step of a walk compares about as many codes as a vector has links.
            if effort * self._links >= selection.count:
                return scanned(points)
            found = self._walked(points, count, effort, selection)
            return completed(found, points, min(depth, selection.count), scanned)

    def _walked(self, points: Matrix, count: int, effort: int, selection: Selection) -> Positions:
        parameters = faiss().SearchParametersHNSW(efSearch=effort, sel=selection.selector)
        found: Positions = self._index.search(points, count, params=parameters)[1]
        return found
