"""Vectors in any shape a caller has them, without NumPy."""

from __future__ import annotations

import struct
import subprocess
import sys
from array import array

import numpy as np
import pytest
from groundwire import vectors
from groundwire.v1.vector_pb2 import FloatList, Vector

NUMBERS = (1.0, -2.5, 0.125)
PACKED = struct.pack("<3f", *NUMBERS)


class Tensor:
    """Turns into an array when asked, like a tensor on the CPU."""

    def __array__(self) -> np.ndarray:
        return np.array(NUMBERS, dtype=np.float64)


@pytest.mark.parametrize(
    "vector",
    [
        PACKED,
        bytearray(PACKED),
        list(NUMBERS),
        NUMBERS,
        [1, -2.5, 0.125],
        array("f", NUMBERS),
        array("d", NUMBERS),
        memoryview(array("f", NUMBERS)),
        np.array(NUMBERS, dtype=np.float32),
        np.array(NUMBERS, dtype=np.float64),
        np.array([NUMBERS, NUMBERS], dtype=np.float32)[:, ::1][1],
        np.repeat(np.array(NUMBERS, dtype=np.float32), 2)[::2],
        Tensor(),
    ],
    ids=lambda vector: type(vector).__name__,
)
def test_every_kind_of_vector_becomes_little_endian_float32(vector) -> None:
    assert vectors.encode(vector).f32le == PACKED


def test_numbers_come_back_as_a_float_array() -> None:
    decoded = vectors.decode(Vector(f32le=PACKED))
    assert decoded == array("f", NUMBERS)
    assert np.asarray(decoded).dtype == np.float32


def test_both_encodings_are_read() -> None:
    assert vectors.decode(Vector(values=FloatList(values=NUMBERS))) == array("f", NUMBERS)


@pytest.mark.parametrize("vector", [b"", b"123", []])
def test_what_has_no_whole_number_of_values_is_refused(vector) -> None:
    with pytest.raises(ValueError, match="4 bytes each"):
        vectors.encode(vector)


def test_a_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match="one dimension"):
        vectors.encode(np.zeros((2, 3), dtype=np.float32))


@pytest.mark.parametrize("vector", [["a"], 5, None])
def test_what_is_not_numbers_is_refused(vector) -> None:
    with pytest.raises(TypeError):
        vectors.encode(vector)


def test_numpy_is_not_needed() -> None:
    script = (
        "import sys; sys.modules['numpy'] = None\n"
        "from groundwire import vectors\n"
        "print(list(vectors.decode(vectors.encode([1, 2]))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[1.0, 2.0]", done.stderr
