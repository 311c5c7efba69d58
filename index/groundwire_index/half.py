"""Numbers of 16 bits (IEEE 754 binary16), and what they hold exactly or not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from groundwire_index.errors import InvalidArgumentError
from groundwire_index.records import Metric
from groundwire_index.storage.segment_file import Matrix, StoredMatrix

LARGEST = float(np.finfo(np.float16).max)

_SHIFT = 13
# The sign, and where the 15 other bits are then; the shift has copied the sign between them.
_BITS = np.array(0x8FFFE000, np.uint32).view(np.int32)
_SCALE = np.float32(2.0**112)


def check_within(vectors: Matrix, fields: Sequence[str]) -> None:
    """Refuse numbers that are too large, with the vector's field; not those that are not finite."""
    beyond = np.isfinite(vectors) & (np.abs(vectors) > LARGEST)
    for number, at in np.argwhere(beyond):
        raise InvalidArgumentError(
            fields[number],
            f"holds {vectors[number, at]:.9g} at [{at}]; the collection's vectors are of float16, "
            f"whose numbers are -{LARGEST:,.0f} to {LARGEST:,.0f}: scale them, or use a "
            "collection of float32",
        )


def narrowed(vectors: Matrix, fields: Sequence[str], metric: Metric) -> StoredMatrix:
    """Checked vectors, each number rounded to the nearest of 16 bits, ties to even.

    Refuses those that have no direction left where the metric compares directions.
    """
    rounded = vectors.astype(np.float16)
    if metric is Metric.COSINE:
        for number in np.flatnonzero(~rounded.any(axis=1)):
            raise InvalidArgumentError(
                fields[number],
                "rounds to zeros as float16, which the collection's vectors are of, and zeros "
                "have no direction that cosine similarity could compare: scale it, so that "
                "some of its numbers are above 0.00000003, or use a collection of float32",
            )
    return rounded


def widened(stored: StoredMatrix) -> Matrix:
    """Finite numbers of either type as float32: the same array if that is what they are.

    NumPy converts one after the other, which takes five times as long as comparing them. Whole
    arrays take a fifth of that: the bits of a half, 13 places further left, are those of a float
    whose exponent is too small by 112. A product mends that, for subnormal numbers too.
    """
    if stored.dtype != np.float16:
        return stored.astype(np.float32, copy=False)
    bits = stored.view(np.int16).astype(np.int32)
    np.left_shift(bits, _SHIFT, out=bits)
    np.bitwise_and(bits, _BITS, out=bits)
    wide = bits.view(np.float32)
    return np.multiply(wide, _SCALE, out=wide)
