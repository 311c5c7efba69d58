"""Vectors and fingerprints on the wire."""

from __future__ import annotations

import numpy as np
from groundwire.v1 import vector_pb2
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.records import Fingerprint, Vector


def vector_of(message: vector_pb2.Vector, field: str) -> Vector:
    """Read a vector of either encoding; shape (dimension,), read-only where it can be a view.

    Whether its numbers are finite and its dimension fits is the index's to check.
    """
    match message.WhichOneof("encoding"):
        case "f32le":
            if len(message.f32le) % 4:
                raise InvalidArgumentError(
                    f"{field}.f32le",
                    f"is {len(message.f32le):,} bytes long; 4 bytes per dimension are needed",
                )
            return np.frombuffer(message.f32le, "<f4").astype(np.float32, copy=False)
        case "values":
            return np.array(message.values.values, np.float32)
    raise InvalidArgumentError(field, "set f32le or values")


def vector_message(vector: Vector) -> vector_pb2.Vector:
    """Write a vector, always as ``f32le``."""
    return vector_pb2.Vector(f32le=vector_bytes(vector))


def vector_bytes(vector: Vector) -> bytes:
    """Numbers as IEEE-754 binary32, little-endian, back to back."""
    return vector.astype("<f4", copy=False).tobytes()


def fingerprint_message(fingerprint: Fingerprint) -> vector_pb2.Fingerprint:
    """Write a fingerprint."""
    return vector_pb2.Fingerprint(
        model=fingerprint.model,
        revision=fingerprint.revision,
        pooling=fingerprint.pooling,
        query_prefix=fingerprint.query_prefix,
        passage_prefix=fingerprint.passage_prefix,
        dimension=fingerprint.dimension,
        normalized=fingerprint.normalized,
    )
