"""A GPU through FAISS's GPU build with cuVS. All calls of its GPU classes are here.

What was learnt of them, all of it from their sources (1.15.1):

- Resources are of one thread; an index uses those it was made with.
- Only cuVS keeps to a selector. One that is a bitmap counts bytes, as from 1.15.1 on.
- `GpuIndexCagra` builds in `train`; a second one is passed over without a word.
- A graph copied to a GPU may go on reading the one it was copied from (issue 4742).
- A walk keeps a multiple of 32 candidates, and at least as many as it is to name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from groundwire_index.ann import Asked, Bitmap
from groundwire_index.ann.codes import train_with
from groundwire_index.ann.library import available, faiss, has_cuvs
from groundwire_index.ann.linking import Links, lowest_level
from groundwire_index.errors import FailedPreconditionError
from groundwire_index.gpu.device import Copy, DeviceError, Found, Reason
from groundwire_index.storage.segment_file import Matrix

_Parameters: TypeAlias = "Callable[[int, Any], Any]"

# For what a search computes on the way. FAISS would take 1.5 GiB.
SCRATCH = 256 * 2**20
# What linking begins with, for each link that is kept.
_LINKS_PRUNED = 2
_MEMORY_WORDS = ("out of memory", "out_of_memory", "bad_alloc", "alloc fail", "memory allocation")


def count_devices() -> int:
    """How many GPUs FAISS can use; DeviceError says what is missing for any."""
    if available() and not has_cuvs():
        raise DeviceError(
            Reason.ABSENT,
            "this build of FAISS has no cuVS: install groundwire[gpu], not groundwire[server]",
        )
    try:
        count = int(faiss().get_num_gpus())
    except FailedPreconditionError as error:
        raise DeviceError(Reason.ABSENT, str(error)) from error
    if not count:
        raise DeviceError(Reason.ABSENT, "FAISS finds no NVIDIA GPU, or no driver for it")
    return count


class FaissDevice:
    """One GPU, by its CUDA number."""

    def __init__(self, number: int) -> None:
        self._number = number
        with device_errors():
            self._resources = faiss().StandardGpuResources()
            self._resources.setTempMemory(SCRATCH)

    def copy(self, index: Any) -> Copy:
        """See `Device`."""
        library = faiss()
        options = library.GpuClonerOptions()
        options.use_cuvs = True
        graph = isinstance(index, library.IndexHNSWCagra)
        with device_errors():
            copied = library.index_cpu_to_gpu(self._resources, self._number, index, options)
        return FaissCopy(copied, _walk if graph else _probe)

    def copy_points(self, pieces: Iterable[Matrix], width: int, distance: int) -> Copy:
        """See `Device`."""
        library = faiss()
        config = self._configured(library.GpuIndexFlatConfig())
        config.use_cuvs = True
        with device_errors():
            index = library.GpuIndexFlat(self._resources, width, distance, config)
            for piece in pieces:
                index.add(piece)
        return FaissCopy(index, _compare)

    def train(self, index: Any, sample: Matrix) -> None:
        """See `Device`."""
        config = self._configured(faiss().GpuIndexFlatConfig())
        with device_errors():
            width = index.pq.dsub
            train_with(index, sample, faiss().GpuIndexFlatL2(self._resources, width, config))

    def link(self, points: Matrix, degree: int, distance: int) -> Links:
        """See `Device`."""
        library = faiss()
        config = self._configured(library.GpuIndexCagraConfig())
        config.graph_degree = degree
        config.intermediate_graph_degree = _LINKS_PRUNED * degree
        width = points.shape[1]
        linked = library.IndexHNSWCagra(width, degree // 2, distance)
        # No levels above, which the CPU would have to link.
        linked.base_level_only = True
        with device_errors():
            index = library.GpuIndexCagra(self._resources, width, distance, config)
            index.train(points)
            index.copyTo(linked)
        return lowest_level(linked.hnsw, degree)

    def _configured(self, config: Any) -> Any:
        config.device = self._number
        return config


class FaissCopy:
    """An index of FAISS on a GPU."""

    def __init__(self, index: Any, parameters: _Parameters) -> None:
        self._index = index
        self._parameters = parameters

    def search(self, asked: Asked, allowed: Bitmap | None) -> Found:
        """See `Copy`."""
        selector = None
        if allowed is not None:
            selector = faiss().IDSelectorBitmap(np.ascontiguousarray(allowed))
        parameters = self._parameters(asked.effort, selector)
        with device_errors():
            return Found(*self._index.search(asked.points, asked.count, params=parameters))


@contextmanager
def device_errors() -> Iterator[None]:
    """Errors of FAISS as DeviceError."""
    try:
        yield
    except MemoryError as error:
        raise DeviceError(Reason.OUT_OF_MEMORY, str(error)) from error
    except RuntimeError as error:
        why = str(error)
        short = any(words in why.lower() for words in _MEMORY_WORDS)
        raise DeviceError(Reason.OUT_OF_MEMORY if short else Reason.FAILED, why) from error


def _walk(effort: int, selector: Any) -> Any:
    return faiss().SearchParametersCagra(itopk_size=-(-effort // 32) * 32, sel=selector)


def _probe(effort: int, selector: Any) -> Any:
    return faiss().SearchParametersIVF(nprobe=effort, sel=selector)


def _compare(effort: int, selector: Any) -> Any:
    del effort  # Every point is compared.
    return faiss().SearchParameters(sel=selector)
