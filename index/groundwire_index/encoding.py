"""Records as they are stored, and back."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundwire_index.checks import (
    MAX_NORM,
    MAX_TEXT_BYTES,
    MIN_NORM,
    check_id,
    check_norm,
    check_text,
    checked_vector,
    require,
)
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.half import check_within, narrowed
from groundwire_index.records import (
    ChunkPosition,
    CollectionSpec,
    JsonValue,
    Metadata,
    Metric,
    Record,
    Vector,
    VectorType,
)
from groundwire_index.segments import checksum, norms_of
from groundwire_index.storage.segment_file import Matrix, StoredMatrix

MAX_METADATA_BYTES = 64 * 2**10
MAX_METADATA_LEVELS = 16
_MAX_INTEGER = 2**63
_decoder = json.JSONDecoder()
_TOO_DEEP = f"is nested deeper than {MAX_METADATA_LEVELS} levels"


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """A record without its vector, checked, in the words of the database."""

    id: str
    document_id: str
    position: str | None
    metadata: str
    text: str | None
    has_vector: bool


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Records that are written together; no id occurs twice."""

    records: tuple[EncodedRecord, ...]
    vectors: StoredMatrix
    """Of the records that have one, in their order; shape (vectors, dimension)."""
    norms: NDArray[np.float32]
    checksums: tuple[int, ...]

    def digest(self) -> bytes:
        """Equal for equal batches; 32 bytes."""
        digest = hashlib.sha256(json.dumps([astuple(record) for record in self.records]).encode())
        digest.update(self.vectors.tobytes())
        return digest.digest()


def encode_batch(records: Sequence[Record], spec: CollectionSpec, document_id: str = "") -> Batch:
    """Check and encode records for a collection; of those with one id, the last.

    With ``document_id``, all of them are that document's.
    """
    encode = _Encoder(document_id)
    encoded = [encode(record, f"records[{number}]") for number, record in enumerate(records)]
    # A dict keeps the place of the first occurrence and the value of the last.
    kept = {record.id: number for number, record in enumerate(records)}.values()
    fields = [f"records[{number}].vector" for number in kept if encoded[number].has_vector]
    vectors, norms = _stacked([records[number].vector for number in kept], fields, spec)
    return Batch(
        records=tuple(encoded[number] for number in kept),
        vectors=vectors,
        norms=norms,
        checksums=tuple(checksum(vector.data) for vector in vectors),
    )


class _Encoder:
    """Encodes the records of one batch, whose metadata is often one and the same object."""

    def __init__(self, document_id: str) -> None:
        self._document_id = document_id
        self._metadata: Metadata = {}
        self._encoded = "{}"

    def __call__(self, record: Record, field: str) -> EncodedRecord:
        check_id(record.id, f"{field}.id")
        self._check_content(record, field)
        return EncodedRecord(
            id=record.id,
            document_id=self._document_of(record, f"{field}.document_id"),
            position=_encode_position(record.position),
            metadata=self._metadata_of(record, f"{field}.metadata"),
            text=record.text,
            has_vector=record.vector is not None,
        )

    def _check_content(self, record: Record, field: str) -> None:
        if record.text is not None:
            check_text(record.text, f"{field}.text", MAX_TEXT_BYTES)
        if record.vector is None:
            require(record.text is not None, field, "has neither vector nor text: give one or both")
            require(
                bool(record.text and not record.text.isspace()),
                f"{field}.text",
                "must hold something other than white space, or come with a vector",
            )

    def _document_of(self, record: Record, field: str) -> str:
        if record.document_id and record.document_id != self._document_id:
            check_id(record.document_id, field)
            require(not self._document_id, field, f'must be "{self._document_id}" or empty')
        return record.document_id or self._document_id

    def _metadata_of(self, record: Record, field: str) -> str:
        if record.metadata is not self._metadata:
            self._encoded = encode_metadata(record.metadata, field)
            self._metadata = record.metadata
        return self._encoded


def _stacked(
    given: Sequence[Vector | None], fields: Sequence[str], spec: CollectionSpec
) -> tuple[StoredMatrix, NDArray[np.float32]]:
    present = [vector for vector in given if vector is not None]
    vectors = np.empty((len(present), spec.dimension), np.float32)
    for number, (vector, field) in enumerate(zip(present, fields, strict=True)):
        vectors[number] = checked_vector(vector, field, spec.dimension)
    if spec.vector_type is VectorType.FLOAT32:
        return vectors, _checked_norms(vectors, fields, spec.metric)
    check_within(vectors, fields)
    _checked_norms(vectors, fields, spec.metric)
    rounded = narrowed(vectors, fields, spec.metric)
    return rounded, norms_of(rounded).astype(np.float32)


def _checked_norms(vectors: Matrix, fields: Sequence[str], metric: Metric) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        norms = norms_of(vectors)
    low = MIN_NORM if metric is Metric.COSINE else 0.0
    for number in np.flatnonzero(~((norms >= low) & (norms <= MAX_NORM))):
        check_norm(float(norms[number]), fields[number], metric)
    return norms.astype(np.float32)


def encode_metadata(metadata: Metadata, field: str) -> str:
    """Metadata as JSON. Raises InvalidArgumentError for what JSON cannot carry exactly."""
    _check_metadata(metadata, field)
    encoded = json.dumps(dict(metadata), ensure_ascii=False, separators=(",", ":"))
    check_text(encoded, field, MAX_METADATA_BYTES)
    return encoded


def decode_metadata(encoded: str) -> dict[str, JsonValue]:
    """Metadata as it was."""
    decoded: dict[str, JsonValue] = {} if encoded == "{}" else _scan(encoded)
    return decoded


def _scan(encoded: str) -> Any:
    """As `json.loads`, in half the time: what was encoded here has no white space around it."""
    decoded, end = _decoder.raw_decode(encoded)
    if end != len(encoded):
        raise json.JSONDecodeError("more than one value", encoded, end)
    return decoded


def decode_position(encoded: str | None) -> ChunkPosition | None:
    """A position as it was."""
    if encoded is None:
        return None
    ordinal, start, end, page, last_page, headings, token_count = _scan(encoded)
    return ChunkPosition(ordinal, start, end, page, last_page, tuple(headings), token_count)


def _encode_position(position: ChunkPosition | None) -> str | None:
    if position is None:
        return None
    return json.dumps(astuple(position), ensure_ascii=False, separators=(",", ":"))


def _check_metadata(metadata: Metadata, field: str) -> None:
    if not isinstance(metadata, Mapping):
        raise InvalidArgumentError(field, "must be an object")
    _check_value(dict(metadata), field, 1)


def _check_value(value: JsonValue, field: str, level: int) -> None:
    match value:
        case None | bool():
            return
        case str():
            _check_string(value, field)
        case int():
            require(
                -_MAX_INTEGER <= value < _MAX_INTEGER,
                field,
                "must be an integer of 64 bits: write larger ones as strings",
            )
        case float():
            require(math.isfinite(value), field, f"{value} is not allowed: JSON has finite numbers")
        case list():
            require(level < MAX_METADATA_LEVELS + 1, field, _TOO_DEEP)
            for number, item in enumerate(value):
                _check_value(item, f"{field}[{number}]", level + 1)
        case dict():
            require(level < MAX_METADATA_LEVELS + 1, field, _TOO_DEEP)
            for key, item in value.items():
                require(isinstance(key, str), field, "must have strings as keys")
                _check_string(key, field)
                _check_value(item, f"{field}.{key}", level + 1)
        case _:
            raise InvalidArgumentError(field, f"holds a {type(value).__name__}, which JSON has not")


def _check_string(value: str, field: str) -> None:
    require("\0" not in value, field, "must not hold the character U+0000")
    if not value.isascii():
        check_text(value, field, MAX_METADATA_BYTES)
