"""The one place where FAISS is imported, which is optional, and where its threads are set."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from groundwire_index.errors import FailedPreconditionError

# Fewer queries are left to the calling thread: others search in threads of their own, and a team
# of threads waits for its slowest wherever the processors are busy.
_SHARED_FROM = 64


@cache
def available() -> bool:
    """Whether FAISS is installed."""
    return importlib.util.find_spec("faiss") is not None


@cache
def has_cuvs() -> bool:
    """Whether FAISS is its GPU build with cuVS. Does not import it, which takes a while."""
    spec = importlib.util.find_spec("faiss")
    folders = spec.submodule_search_locations if spec is not None else None
    return any((Path(folder) / "_cuvs_build.py").exists() for folder in folders or ())


@cache
def faiss() -> Any:
    """FAISS, imported when it is first needed; FailedPreconditionError without it."""
    # It tells at length which of its builds this processor cannot run.
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)
    try:
        import faiss as library
    except ImportError as error:
        # The GPU build does not load beside another cuVS than it was built with, for one.
        state = f"cannot be loaded ({error})" if available() else "is not installed"
        raise FailedPreconditionError(
            f"approximate indexes need FAISS, which {state}: "
            "pip install 'groundwire[faiss]', or 'groundwire[gpu]' for its GPU build",
            reason="FAISS_NOT_INSTALLED",
        ) from error
    return library


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Let FAISS use so many threads for what the calling thread asks of it."""
    library = faiss()
    before = library.omp_get_max_threads()
    library.omp_set_num_threads(count)
    try:
        yield
    finally:
        library.omp_set_num_threads(before)


def search_threads(queries: int) -> int:
    """How many threads a search of so many queries is worth."""
    return 1 if queries < _SHARED_FROM else len(os.sched_getaffinity(0))
