"""What the index promises, in the plainest Python: the other side of every comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from groundwire_index.filters import (
    DOCUMENT_ID,
    RECORD_ID,
    All,
    Any,
    Condition,
    Filter,
    Not,
    Operator,
    Scalar,
)
from groundwire_index.records import JsonValue, Metric, Record, Vector

_MISSING = object()


def matches(where: Filter | None, record: Record) -> bool:
    """Whether a record passes a filter."""
    match where:
        case None:
            return True
        case All(parts):
            return all(matches(part, record) for part in parts)
        case Any(parts):
            return any(matches(part, record) for part in parts)
        case Not(part):
            return not matches(part, record)
        case Condition(field, operator, value):
            return _holds(_found(record, field), operator, value)


def score(metric: Metric, query: Vector, vector: Vector) -> float:
    """How close two vectors are; higher is closer."""
    a, b = query.astype(np.float64), vector.astype(np.float64)
    match metric:
        case Metric.COSINE:
            return float(a @ b / np.sqrt((a @ a) * (b @ b)))
        case Metric.DOT:
            return float(a @ b)
        case Metric.EUCLIDEAN:
            return -float((a - b) @ (a - b))


def best(
    records: Mapping[str, Record],
    metric: Metric,
    query: Vector,
    top_k: int,
    where: Filter | None = None,
) -> list[tuple[str, float]]:
    """Ids and scores of the nearest records."""
    scored = [
        (key, score(metric, query, record.vector))
        for key, record in records.items()
        if record.vector is not None and matches(where, record)
    ]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:top_k]


def assert_same_ranking(
    found: Sequence[tuple[str, float]], expected: Sequence[tuple[str, float]]
) -> None:
    """Equal scores; equal ids too, but where scores differ by no more than rounding."""
    assert len(found) == len(expected)
    for (key, value), (expected_id, expected_value) in zip(found, expected, strict=True):
        assert abs(value - expected_value) <= 1e-9 * max(1.0, abs(expected_value))
        if key != expected_id:
            twins = [one for one, other in expected if abs(other - value) <= 1e-9]
            assert key in twins or abs(value - expected[-1][1]) <= 1e-9


def _found(record: Record, field: str) -> object:
    if field == RECORD_ID:
        return record.id
    if field == DOCUMENT_ID:
        return record.document_id or _MISSING
    value: object = record.metadata
    for key in field.split("."):
        if not isinstance(value, dict) or key not in value:
            return _MISSING
        value = value[key]
    return value


def _holds(value: object, operator: Operator, wanted: Scalar | tuple[Scalar, ...]) -> bool:
    present = value is not _MISSING and value is not None
    if operator is Operator.EXISTS:
        return present == wanted
    elements: Sequence[object] = value if isinstance(value, list) else [value]
    if operator is Operator.NE:
        return present and not any(_equal(element, wanted) for element in elements)
    return any(_compares(element, operator, wanted) for element in elements)


def _compares(element: object, operator: Operator, wanted: Scalar | tuple[Scalar, ...]) -> bool:
    match operator:
        case Operator.EQ:
            return _equal(element, wanted)
        case Operator.IN:
            assert isinstance(wanted, tuple)
            return any(_equal(element, one) for one in wanted)
        case Operator.CONTAINS:
            return isinstance(element, str) and str(wanted) in element
        case Operator.PREFIX:
            return isinstance(element, str) and element.startswith(str(wanted))
    if _kind(element) != _kind(wanted) or _kind(element) not in ("text", "number"):
        return False
    match operator:
        case Operator.LT:
            return element < wanted  # type: ignore[operator]
        case Operator.LTE:
            return element <= wanted  # type: ignore[operator]
        case Operator.GT:
            return element > wanted  # type: ignore[operator]
        case _:
            return element >= wanted  # type: ignore[operator]


def _equal(element: object, wanted: object) -> bool:
    return _kind(element) == _kind(wanted) != "other" and element == wanted


def _kind(value: JsonValue | object) -> str:
    match value:
        case bool():
            return "truth"
        case int() | float():
            return "number"
        case str():
            return "text"
    return "other"
