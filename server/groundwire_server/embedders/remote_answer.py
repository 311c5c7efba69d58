"""The vectors in an answer of the OpenAI API, if it is one."""

from __future__ import annotations

from typing import Any

import numpy as np
from groundwire_index.errors import UnavailableError
from numpy.typing import NDArray


def vectors_of(answer: Any, count: int, dimension: int | None, where: str) -> NDArray[np.float32]:
    """Unit vectors in the order of the texts, shape (count, dimension).

    A ``dimension`` of None is whatever they have. Raises UnavailableError for an answer that is
    none, or has others than were asked for.
    """
    try:
        rows = sorted(answer["data"], key=lambda one: int(one["index"]))
        numbers = [int(one["index"]) for one in rows]
        vectors = np.asarray([one["embedding"] for one in rows], np.float32)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _wrong(where, "is no list of vectors") from None
    if numbers != list(range(count)):
        raise _wrong(where, f"has {len(numbers):,} vectors for {count:,} texts")
    if vectors.ndim != 2 or vectors.shape[1] != (dimension or vectors.shape[1]):
        raise _wrong(where, f"has vectors of shape {vectors.shape[1:]}, not of ({dimension},)")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise _wrong(where, "has a vector that is zero or not finite")
    unit: NDArray[np.float32] = vectors / lengths
    return unit


def _wrong(where: str, what: str) -> UnavailableError:
    return UnavailableError(f"{where}/embeddings: the answer {what}", reason="REMOTE_PROTOCOL")
