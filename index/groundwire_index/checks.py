"""What callers may pass: each check raises InvalidArgumentError, which names the field."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from groundwire_index.ann import FAMILIES
from groundwire_index.ann.library import faiss
from groundwire_index.errors import FailedPreconditionError, InvalidArgumentError
from groundwire_index.fusion import ReciprocalRank, WeightedSum
from groundwire_index.records import CollectionSpec, Metric, SearchMode, SearchQuery, Vector

MAX_ID_BYTES = 512
MAX_KEY_BYTES = 256
MAX_TEXT_BYTES = 2**20
MAX_IDS = 10_000
MAX_TOP_K = 1000
MAX_PAGE = 1000
MAX_DIMENSION = 65_536
MAX_DESCRIPTION_CHARACTERS = 1024
# Products of two such vectors stay finite in single precision.
MAX_NORM = 1e18
MIN_NORM = 1e-18

INDEX_KINDS = ("auto", "flat", *FAMILIES)
# Kinds that are worth their place where a GPU searches them.
_GPU_KINDS = frozenset({"cagra"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def require(condition: bool, field: str, description: str) -> None:
    """Refuse the call unless the condition holds."""
    if not condition:
        raise InvalidArgumentError(field, description)


def check_spec(spec: CollectionSpec) -> None:
    """Refuse a collection that cannot be made."""
    check_name(spec.name, "name")
    check_range(spec.dimension, "dimension", 1, MAX_DIMENSION)
    if spec.fingerprint is not None:
        require(
            spec.fingerprint.dimension == spec.dimension,
            "dimension",
            f"{spec.dimension:,} is not the {spec.fingerprint.dimension:,} of "
            f'"{spec.fingerprint.model}"',
        )
    require(
        len(spec.description) <= MAX_DESCRIPTION_CHARACTERS,
        "description",
        f"must be at most {MAX_DESCRIPTION_CHARACTERS:,} characters long",
    )
    check_text(spec.description, "description", 4 * MAX_DESCRIPTION_CHARACTERS)
    _check_index(spec)


def _check_index(spec: CollectionSpec) -> None:
    kind = spec.index_kind
    require(
        kind in INDEX_KINDS,
        "index.kind",
        f'"{kind}" is unknown: use one of {", ".join(INDEX_KINDS)}',
    )
    if kind in FAMILIES:
        FAMILIES[kind].check(spec.index_parameters)
        # Says what to install where it is missing.
        faiss()
        return
    for name in spec.index_parameters:
        raise InvalidArgumentError(
            f"index.parameters.{name}", f'is not a parameter of "{kind}", which takes none'
        )


def check_gpu(kind: str | None, why_none: str) -> None:
    """Refuse a kind that is asked for and needs a GPU, given why there is none."""
    if kind in _GPU_KINDS and why_none:
        others = ", ".join(one for one in INDEX_KINDS if one not in _GPU_KINDS)
        raise FailedPreconditionError(
            f'index.kind "{kind}" needs a GPU, and none is used here ({why_none}): use one of '
            f"{others}",
            reason="GPU_NOT_FOUND",
        )


def check_name(value: str, field: str) -> None:
    """Refuse what cannot name a collection."""
    require(
        bool(_NAME.fullmatch(value)),
        field,
        "must be 1 to 128 characters of [A-Za-z0-9._-], starting with a letter or digit",
    )


def check_id(value: str, field: str) -> None:
    """Refuse an id that is not 1 to 512 bytes of UTF-8 without control characters."""
    require(bool(value), field, "must not be empty")
    check_text(value, field, MAX_ID_BYTES)
    if not value.isprintable() and any(unicodedata.category(char) == "Cc" for char in value):
        raise InvalidArgumentError(field, "must not hold control characters")


def check_text(value: str, field: str, max_bytes: int) -> None:
    """Refuse text that is too long, or that UTF-8 cannot carry."""
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise InvalidArgumentError(field, "is not valid Unicode: it has a lone surrogate") from None
    if size > max_bytes:
        raise InvalidArgumentError(
            field, f"is {size:,} bytes long; at most {max_bytes:,} are allowed"
        )


def check_range(value: int, field: str, low: int, high: int) -> None:
    """Refuse a number outside ``low`` to ``high``, both allowed."""
    if not low <= value <= high:
        raise InvalidArgumentError(field, f"{value:,} is not allowed: {low:,} to {high:,}")


def check_sequence(value: int, last: int) -> None:
    """Refuse the number of a write that was not given out."""
    require(
        0 <= value <= last,
        "at_least_sequence",
        f"{value:,} has not been given out by this collection, which is at {last:,}",
    )


def check_count(count: int, field: str, high: int, low: int = 1) -> None:
    """Refuse a list of the wrong length."""
    if not low <= count <= high:
        raise InvalidArgumentError(field, f"has {count:,} items; {low:,} to {high:,} are allowed")


def check_ids(values: Sequence[str], low: int = 1) -> None:
    """Refuse a list of ids that is too long or too short, and ids that cannot be."""
    check_count(len(values), "ids", MAX_IDS, low)
    for number, value in enumerate(values):
        check_id(value, f"ids[{number}]")


def check_key(value: str) -> None:
    """Refuse an idempotency key of more than 256 bytes."""
    check_text(value, "idempotency_key", MAX_KEY_BYTES)


def checked_vector(value: Vector, field: str, dimension: int) -> Vector:
    """The vector as contiguous float32 of the right dimension."""
    vector = np.ascontiguousarray(value, np.float32)
    if vector.shape != (dimension,):
        shape = f"{len(vector):,} dimensions" if vector.ndim == 1 else f"the shape {vector.shape}"
        raise InvalidArgumentError(
            field, f"has {shape}; the collection has vectors of {dimension:,}"
        )
    return vector


def check_norm(norm: float, field: str, metric: Metric) -> None:
    """Refuse a vector that cannot be compared, by its length (NaN if it is not finite)."""
    if math.isnan(norm) or math.isinf(norm):
        raise InvalidArgumentError(field, "must hold finite numbers only, not NaN or infinity")
    if norm > MAX_NORM:
        raise InvalidArgumentError(
            field, f"is too long: its length is {norm:g}; at most {MAX_NORM:g} is allowed"
        )
    if metric is Metric.COSINE and norm < MIN_NORM:
        raise InvalidArgumentError(
            field, "is zero, or nearly: it has no direction that cosine similarity could compare"
        )


def check_query(query: SearchQuery, metric: Metric, dimension: int) -> SearchQuery:
    """Refuse a search that cannot be run; the query with its vector as contiguous float32."""
    check_range(query.top_k, "top_k", 1, MAX_TOP_K)
    if query.min_score is not None:
        require(not math.isnan(query.min_score), "min_score", "must be a number")
    _check_fusion(query)
    if query.mode is not SearchMode.DENSE:
        if query.text is None:
            raise InvalidArgumentError("text", f"is needed by mode {query.mode.value}")
        check_text(query.text, "text", MAX_TEXT_BYTES)
    if query.mode is SearchMode.LEXICAL:
        return query
    if query.vector is None:
        raise InvalidArgumentError("vector", f"is needed by mode {query.mode.value}")
    vector = checked_vector(query.vector, "vector", dimension)
    check_norm(math.sqrt(np.vdot(vector, vector)), "vector", metric)
    return query if vector is query.vector else replace(query, vector=vector)


def _check_fusion(query: SearchQuery) -> None:
    match query.fusion:
        case ReciprocalRank(k):
            check_range(k, "fusion.k", 1, 10_000)
        case WeightedSum(dense_weight):
            require(
                0.0 <= dense_weight <= 1.0,
                "fusion.dense_weight",
                f"{dense_weight:g} is not allowed: 0 to 1",
            )
