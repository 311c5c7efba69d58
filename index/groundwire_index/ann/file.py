"""An index and its file: written through Python, so that a full disk is told; mapped to read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundwire_index.ann.library import faiss
from groundwire_index.ann.protocol import BuildCancelledError
from groundwire_index.errors import DataLossError
from groundwire_index.storage.failures import storage_errors
from groundwire_index.storage.segment_file import Matrix

_BUFFER = 2**20
# The limit on lengths is FAISS's, for the whole process.
_reading = threading.Lock()


def add(index: Any, pieces: Iterable[Matrix], cancelled: Callable[[], bool]) -> None:
    """Add the pieces in order; BuildCancelledError between two of them."""
    for piece in pieces:
        stop_if(cancelled)
        index.add(piece)


def stop_if(cancelled: Callable[[], bool]) -> None:
    """Raise BuildCancelledError if it is so."""
    if cancelled():
        raise BuildCancelledError


def write(index: Any, path: Path, cancelled: Callable[[], bool]) -> None:
    """Write an index to a new file."""
    failures: list[Exception] = []

    def put(data: bytes) -> None:
        # FAISS does not survive what is raised here: the rest is thrown away instead.
        try:
            if not failures:
                stop_if(cancelled)
                _write_all(file, data)
        except (OSError, BuildCancelledError) as error:
            failures.append(error)

    with storage_errors(path), path.open("wb", buffering=0) as file:
        library = faiss()
        library.write_index(index, library.PyCallbackIOWriter(put, _BUFFER))
        if failures:
            raise failures[0]


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def read(path: Path, check: Callable[[Any], None]) -> Any:
    """Map an index and check it; `damaged` if it cannot be read."""
    with storage_errors(path):
        size = path.stat().st_size
    try:
        with _reading:
            # No part is larger than the file: else one wrong length would fill the memory.
            faiss().set_deserialization_vector_byte_limit(max(size, 1))
            # Tables would fill the memory that mapping saves.
            flags = faiss().IO_FLAG_MMAP_IFC | faiss().IO_FLAG_SKIP_PRECOMPUTE_TABLE
            index = faiss().read_index(str(path), flags)
        check(index)
    except (RuntimeError, MemoryError, AttributeError, ValueError, IndexError) as error:
        raise damaged(path, str(error)) from error
    return index


def require(sound: bool | np.bool_, what: str) -> None:
    """Raise ValueError for what is wrong with an index that is being read."""
    if not sound:
        raise ValueError(what)


def array(vector: Any) -> NDArray[Any]:
    """A vector of FAISS as an array, not copied."""
    return np.asarray(faiss().rev_swig_ptr(vector.data(), vector.size()))


def damaged(path: Path, why: str) -> DataLossError:
    """The error of a file that is not the index it should be."""
    return DataLossError(
        f"{path} is not a sound index ({why.splitlines()[0][:200] if why else 'unreadable'}): it "
        "holds nothing that cannot be built again from the vectors",
        reason="INDEX_DAMAGED",
        metadata={"file": str(path)},
    )
