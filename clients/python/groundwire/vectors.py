"""Vectors on the wire: little-endian float32, back to back, in and out without NumPy."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from groundwire.v1.vector_pb2 import Vector as VectorMessage


class ArrayLike(Protocol):
    """Anything that turns into a NumPy array, such as a tensor."""

    def __array__(self) -> Any: ...


VectorLike: TypeAlias = (
    "bytes | bytearray | memoryview | array[float] | Sequence[float] | ArrayLike"
)
"""A vector to send: float32 bytes in little-endian order, a sequence of numbers, or anything
with the buffer protocol or ``__array__`` whose items are numbers (a NumPy array, a tensor on
the CPU). One dimension, of any length above zero."""


def encode(vector: VectorLike) -> VectorMessage:
    """The message for a vector. ``ValueError`` or ``TypeError`` says what cannot be one."""
    data = bytes(vector) if isinstance(vector, bytes | bytearray) else _pack(_floats(vector))
    if not data or len(data) % 4:
        raise ValueError(
            f"A vector is float32 values of 4 bytes each, at least one: got {len(data)} bytes."
        )
    return VectorMessage(f32le=data)


def decode(message: VectorMessage) -> array[float]:
    """The numbers as ``array('f')``; ``numpy.asarray`` takes it without a copy."""
    if message.WhichOneof("encoding") == "values":
        return array("f", message.values.values)
    numbers = array("f", message.f32le)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _floats(vector: memoryview | array[float] | Sequence[float] | ArrayLike) -> array[float]:
    try:
        view = memoryview(vector)  # type: ignore[arg-type]
    except TypeError:
        if hasattr(vector, "__array__"):
            view = memoryview(vector.__array__())
        else:
            return array("f", vector)
    if view.ndim != 1:
        raise ValueError(f"A vector has one dimension: got {view.ndim}.")
    if view.format == "f":
        return array("f", view.tobytes())
    return array("f", view.tolist())


def _pack(numbers: array[float]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
