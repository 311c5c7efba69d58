"""Shorter vectors of models whose first dimensions mean something alone.

Kusupati et al., "Matryoshka Representation Learning", 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from groundwire_index.errors import FailedPreconditionError
from numpy.typing import NDArray


def shorter_dimensions(
    config: Mapping[str, Any], chosen: Sequence[int], dimension: int
) -> Sequence[int]:
    """The lengths that vectors of ``dimension`` may be cut to, ascending; none for most models.

    What is ``chosen`` by the operator goes before what the model's ``config.json`` says, in the
    words that vLLM reads too: ``matryoshka_dimensions``, or ``is_matryoshka`` for any length.
    Raises FailedPreconditionError if one is chosen that is not shorter.
    """
    if chosen:
        _require_shorter(max(chosen), dimension)
        return sorted(set(chosen))
    declared = config.get("matryoshka_dimensions")
    if declared:
        return sorted({int(one) for one in declared if int(one) < dimension})
    return range(1, dimension) if config.get("is_matryoshka") else ()


def shortened(vectors: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """The first dimensions of vectors, of unit length again; shape (vectors, dimension)."""
    if vectors.shape[1] == dimension:
        return vectors
    cut = vectors[:, :dimension]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    unit: NDArray[np.float32] = cut / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _require_shorter(longest: int, dimension: int) -> None:
    if longest >= dimension:
        raise FailedPreconditionError(
            f"embedder_dimensions: {longest:,} is not shorter than the {dimension:,} dimensions "
            "of the model's vectors, which need not be named",
            reason="EMBEDDER_DIMENSIONS",
        )
