"""Which filters are refused, by the path of the part that is wrong."""

from __future__ import annotations

import math

import pytest
from groundwire_index import Collection
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.filters import All, Any, Condition, Filter, Not, Operator

EQ = Condition("a", Operator.EQ, 1)


def nested(levels: int) -> Filter:
    return EQ if levels == 1 else Not(nested(levels - 1))


@pytest.mark.parametrize(
    ("where", "field"),
    [
        (nested(17), "filter"),
        (All((EQ,) * 256), "filter"),
        (Condition("", Operator.EQ, 1), "filter.field"),
        (Condition("x" * 257, Operator.EQ, 1), "filter.field"),
        (Condition("\ud800", Operator.EQ, 1), "filter.field"),
        (Condition("a", Operator.EQ, math.nan), "filter.value"),
        (Condition("a", Operator.LT, math.inf), "filter.value"),
        (Condition("a", Operator.LT, True), "filter.value"),
        (Condition("a", Operator.EQ, 2**63), "filter.value"),
        (Condition("a", Operator.EQ, "\udc00"), "filter.value"),
        (Condition("a", Operator.EQ, (1,)), "filter.value"),
        (Condition("a", Operator.EQ, None), "filter.value"),  # type: ignore[arg-type]
        (Condition("a", Operator.IN, 1), "filter.value"),
        (Condition("a", Operator.IN, (1,) * 10_001), "filter.value"),
        (Condition("a", Operator.IN, (1, math.nan)), "filter.value[1]"),
        (Condition("a", Operator.CONTAINS, 1), "filter.value"),
        (Condition("a", Operator.PREFIX, True), "filter.value"),
        (Condition("a", Operator.EXISTS, "yes"), "filter.value"),
        (
            Any((EQ, Not(Condition("a", Operator.CONTAINS, 1)))),
            "filter.parts[1].part.value",
        ),
    ],
)
def test_bad_filters_are_refused(collection: Collection, where: Filter, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        collection.count(where)
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize(
    "where",
    [
        nested(16),
        All((EQ,) * 255),
        All(
            tuple(Any((Condition('odd "key".b', Operator.IN, (1, "x", True)),)) for _ in range(127))
        ),
        Condition(".".join("a" * 128), Operator.EQ, 1),
        Condition(".".join('"' * 128), Operator.EQ, 1),
        Condition("a", Operator.IN, tuple(range(10_000))),
        Condition("a", Operator.IN, tuple(f"value {n}" for n in range(10_000))),
    ],
)
def test_the_largest_filters_work(collection: Collection, where: Filter) -> None:
    assert collection.count(where).count == 0
