"""IVF-PQ: inverted lists of quantised vectors, for collections that outgrow a graph's memory.

FAISS's "fast scan" layout is a quarter faster, but cannot be mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from groundwire_index.ann import file
from groundwire_index.ann.codes import CODES, Codes, Train, trained_by_cpu
from groundwire_index.ann.geometry import Geometry, Points
from groundwire_index.ann.kmeans import SAMPLES_PER_CENTROID, centroids
from groundwire_index.ann.library import faiss, search_threads, using_threads
from groundwire_index.ann.parameters import one_of, whole_numbers
from groundwire_index.ann.protocol import Ann, Asked, Bitmap, Positions, Tuning, Vectors
from groundwire_index.ann.selection import Selection, completed
from groundwire_index.records import Metric
from groundwire_index.storage.segment_file import Matrix

_BITS = 2
_NUMBERS = {"nlist": range(1, 65_537), "bits": range(1, 9)}
_WORDS = {"codes": tuple(CODES)}
# One list in so many is visited, and never fewer than some. The greatest inner products are
# where vectors are long, which is in more directions than one.
_LISTS_PER_PROBE = {Metric.COSINE: 16, Metric.EUCLIDEAN: 16, Metric.DOT: 4}
_FEWEST_PROBES = 16
# Positions, and lists, of one query at most: the limit of GPUs.
_MOST = 2048
_PIECE = 16_384
_SEED = 2024


class IvfPq:
    """The family."""

    kind = "ivf_pq"

    def __init__(self, train: Train = trained_by_cpu) -> None:
        self._train = train

    def check(self, parameters: Mapping[str, str]) -> None:
        """``nlist`` lists of ``codes``, "rabitq" or "pq", of ``bits`` a dimension."""
        self._read(parameters)

    def build(
        self,
        vectors: Vectors,
        metric: Metric,
        parameters: Mapping[str, str],
        path: Path,
        cancelled: Callable[[], bool],
        threads: int = 1,
    ) -> None:
        """Cluster a sample, then put every vector into the list of the nearest centre."""
        nlist, codes, bits = self._read(parameters)
        points = Points(vectors, metric)
        lists = min(nlist or _lists(points.count), points.count)
        rotation = _rotation(points.geometry.width)
        with using_threads(threads):
            sample = rotation.apply(points.sample(lists * SAMPLES_PER_CENTROID))
            centres = centroids(sample, lists, cancelled)
            index = _empty(points.geometry, centres, codes, bits)
            codes.train(index, sample, self._train)
            del sample
            file.add(index, map(rotation.apply, points.pieces(_PIECE)), cancelled)
        _set_quantizer(index, centres, points.geometry.distance)
        file.write(faiss().IndexPreTransform(rotation, index), path, cancelled)

    def open(self, path: Path, metric: Metric, dimension: int) -> Ann:
        """Map the lists; the positions in them are read once, to check them."""
        geometry = Geometry(metric, dimension)
        index = file.read(path, lambda index: _check(index, geometry))
        lists = faiss().downcast_index(index.index)
        kind = ProductAnn if isinstance(lists, faiss().IndexIVFPQ) else IvfPqAnn
        return kind(index, geometry)

    def _read(self, parameters: Mapping[str, str]) -> tuple[int | None, Codes, int]:
        words = one_of(self.kind, parameters, _WORDS, _NUMBERS)
        rest = {name: text for name, text in parameters.items() if name not in words}
        numbers = whole_numbers(self.kind, rest, _NUMBERS, _WORDS)
        codes, bits = CODES[words.get("codes", "rabitq")], numbers.get("bits", _BITS)
        codes.check(bits)
        return numbers.get("nlist"), codes, bits


class IvfPqAnn:
    """The lists of one file."""

    def __init__(self, index: Any, geometry: Geometry) -> None:
        self._index = index
        self._geometry = geometry
        self._lists: int = faiss().downcast_index(index.index).nlist
        self.size: int = index.ntotal

    def search(
        self, queries: Matrix, depth: int, allowed: Bitmap | None, tuning: Tuning
    ) -> Positions:
        """In the nearest lists, more of them for a filter; in all where they fall short."""
        selection = Selection(allowed, self.size)
        points = self._geometry.points(queries)
        count, probes = self._planned(depth, selection, tuning)

        with using_threads(search_threads(len(queries))):
            found = self._probed(points, count, probes, selection)
            if probes == self._lists:
                return found
            return completed(
                found,
                points,
                min(depth, selection.count),
                lambda points: self._probed(points, count, self._lists, selection),
            )

    def _planned(self, depth: int, selection: Selection, tuning: Tuning) -> tuple[int, int]:
        probes = max(self._lists // _LISTS_PER_PROBE[self._geometry.metric], _FEWEST_PROBES)
        probes = min(selection.widened(tuning.nprobe or probes), self._lists)
        return min(3 * depth + 50, self.size), probes

    def _probed(self, points: Matrix, count: int, probes: int, selection: Selection) -> Positions:
        library = faiss()
        lists = library.SearchParametersIVF(nprobe=probes, sel=selection.selector)
        parameters = library.SearchParametersPreTransform(index_params=lists)
        found: Positions = self._index.search(points, count, params=parameters)[1]
        return found


class ProductAnn(IvfPqAnn):
    """Lists that GPUs search too."""

    def __init__(self, index: Any, geometry: Geometry) -> None:
        super().__init__(index, geometry)
        self.index = faiss().downcast_index(index.index)
        self.bytes: int = self.size * (self.index.code_size + 8) + 4 * self._lists * geometry.width
        self._rotation = faiss().downcast_VectorTransform(index.chain.at(0))

    def asked(
        self, queries: Matrix, depth: int, selection: Selection, tuning: Tuning
    ) -> Asked | None:
        """The same search of a GPU, unless it is to name more than a GPU selects."""
        count, probes = self._planned(depth, selection, tuning)
        if max(count, probes) > _MOST:
            return None
        return Asked(self._rotation.apply(self._geometry.points(queries)), count, probes)


def _lists(count: int) -> int:
    """About twice the root of the count, a power of two, each list with enough to train on."""
    wanted = 2 ** round(np.log2(2 * np.sqrt(count)))
    return int(min(wanted, max(1, count // SAMPLES_PER_CENTROID)))


def _rotation(width: int) -> Any:
    rotation = faiss().RandomRotationMatrix(width, width)
    rotation.init(_SEED)
    return rotation


def _empty(geometry: Geometry, centres: Matrix, codes: Codes, bits: int) -> Any:
    library = faiss()
    lists, width = centres.shape
    index = codes.empty(library.IndexFlatL2(width), lists, geometry.distance, bits)
    # Whatever the metric, a vector is in the list whose centre is nearest.
    _set_quantizer(index, centres, library.METRIC_L2)
    return index


def _set_quantizer(index: Any, centres: Matrix, distance: int) -> None:
    quantizer = faiss().IndexFlat(centres.shape[1], distance)
    quantizer.add(centres)
    index.quantizer = quantizer
    index.own_fields = False
    index.referenced_objects = [quantizer]


def _check(index: Any, geometry: Geometry) -> None:
    library = faiss()
    file.require(isinstance(index, library.IndexPreTransform), "not inverted lists")
    file.require(index.d == geometry.width, "another dimension")
    file.require(index.chain.size() == 1, "another transformation")
    _check_rotation(library.downcast_VectorTransform(index.chain.at(0)), geometry.width)
    _check_lists(library.downcast_index(index.index), geometry, index.ntotal)


def _check_rotation(rotation: Any, width: int) -> None:
    file.require(isinstance(rotation, faiss().LinearTransform), "not rotated")
    file.require(rotation.d_in == rotation.d_out == width, "another dimension")
    file.require(rotation.A.size() == width * width, "the rotation is missing")
    file.require(not rotation.have_bias or rotation.b.size() == width, "a shift is missing")


def _check_lists(lists: Any, geometry: Geometry, size: int) -> None:
    library = faiss()
    file.require(isinstance(lists, library.IndexIVF), "not inverted lists")
    file.require(lists.d == geometry.width and lists.ntotal == size, "another size")
    file.require(lists.metric_type == geometry.distance, "another metric")
    file.require(any(codes.is_sound(lists) for codes in CODES.values()), "codes of another kind")
    centres = library.downcast_index(lists.quantizer)
    file.require(isinstance(centres, library.IndexFlat), "no centres")
    file.require(
        centres.d == geometry.width and centres.ntotal == lists.nlist, "centres are missing"
    )
    inverted = lists.invlists
    file.require(inverted.nlist == lists.nlist, "lists are missing")
    file.require(inverted.code_size == lists.code_size, "another code size")
    held = [_positions(inverted, number) for number in range(lists.nlist)]
    positions = np.sort(np.concatenate(held))
    file.require(np.array_equal(positions, np.arange(size)), "a vector is in no list")


def _positions(inverted: Any, number: int) -> Any:
    length = inverted.list_size(number)
    if not length:
        return np.empty(0, np.int64)
    return faiss().rev_swig_ptr(inverted.get_ids(number), length)
