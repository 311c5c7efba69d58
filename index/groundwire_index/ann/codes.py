"""The codes of IVF-PQ: RaBitQ's, or those of a classical product quantiser.

RaBitQ's (Gao and Long, "RaBitQ: quantizing high-dimensional vectors with a theoretical error
bound for approximate nearest neighbor search", 2024) are a product quantiser whose parts are single
dimensions after a random rotation. Nothing is trained, where codebooks for 384 dimensions take
twenty times as long as the lists, and find no more. But GPUs search the classical ones alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np

from groundwire_index.ann import file
from groundwire_index.ann.library import faiss
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.storage.segment_file import Matrix

# Bits of one number of a classical code, and how many values it has.
_BITS = 8
_VALUES = 2**_BITS


Train: TypeAlias = "Callable[[Any, Matrix], None]"
"""Has FAISS's lists learn the values of their codes from a sample."""


def trained_by_cpu(index: Any, sample: Matrix) -> None:
    """Learn on the CPU."""
    index.train(sample)


def train_with(index: Any, sample: Matrix, assigner: Any) -> None:
    """Learn by comparing with the values so far in another index, empty and as wide as a part."""
    index.pq.assign_index = assigner
    assigner.thisown = True  # FAISS would take it for its own from here on, and never free it.
    try:
        index.train(sample)
    finally:
        index.pq.assign_index = None


class Codes(Protocol):
    """One kind of codes."""

    def check(self, bits: int) -> None:
        """Raise InvalidArgumentError if they cannot have so many bits a dimension."""

    def empty(self, quantizer: Any, lists: int, distance: int, bits: int) -> Any:
        """FAISS's lists of such codes."""

    def train(self, index: Any, sample: Matrix, train: Train) -> None:
        """Learn from vectors, at least one, by ``train`` where that takes long."""

    def is_sound(self, index: Any) -> bool:
        """Whether lists from a file have such codes; ValueError if they are damaged."""


class RaBitQ:
    """A rotated dimension is a number of the code."""

    def check(self, bits: int) -> None:
        """Any will do."""

    def empty(self, quantizer: Any, lists: int, distance: int, bits: int) -> Any:
        """See `Codes`."""
        return faiss().IndexIVFRaBitQ(quantizer, quantizer.d, lists, distance, True, bits)

    def train(self, index: Any, sample: Matrix, train: Train) -> None:
        """See `Codes`."""
        del train
        index.train(sample)

    def is_sound(self, index: Any) -> bool:
        """See `Codes`."""
        if not isinstance(index, faiss().IndexIVFRaBitQ):
            return False
        file.require(index.rabitq.d == index.d, "codes of another dimension")
        file.require(0 <= index.qb <= 8, "queries of another kind")
        return True


class Product:
    """Some rotated dimensions share a number, which names one of 256 learnt values."""

    def check(self, bits: int) -> None:
        """A number is of 8 bits, so dimensions share it evenly."""
        if bits not in (1, 2, 4, 8):
            raise InvalidArgumentError(
                'index.parameters["bits"]', f'must be 1, 2, 4 or 8 with codes of "pq", is {bits}'
            )

    def empty(self, quantizer: Any, lists: int, distance: int, bits: int) -> Any:
        """See `Codes`."""
        numbers = quantizer.d * bits // _BITS
        index = faiss().IndexIVFPQ(quantizer, quantizer.d, lists, numbers, _BITS, distance)
        index.pq.cp.min_points_per_centroid = 1  # Of small samples it would write to stderr.
        return index

    def train(self, index: Any, sample: Matrix, train: Train) -> None:
        """See `Codes`."""
        train(index, np.resize(sample, (max(len(sample), _VALUES), sample.shape[1])))

    def is_sound(self, index: Any) -> bool:
        """See `Codes`."""
        if not isinstance(index, faiss().IndexIVFPQ):
            return False
        pq = index.pq
        file.require(pq.nbits == _BITS and pq.d == pq.M * pq.dsub == index.d, "another code")
        file.require(pq.ksub == _VALUES, "another number of values")
        file.require(pq.code_size == index.code_size == pq.M, "another code size")
        centroids = file.array(pq.centroids)
        file.require(len(centroids) == pq.ksub * pq.d, "values of the codes are missing")
        file.require(index.by_residual and index.polysemous_ht == 0, "codes of another kind")
        file.require(index.use_precomputed_table == 0, "a table that is not there")
        return True


CODES: Mapping[str, Codes] = {"rabitq": RaBitQ(), "pq": Product()}
