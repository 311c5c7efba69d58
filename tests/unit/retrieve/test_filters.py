from __future__ import annotations

import pytest
from google.protobuf import json_format
from groundwire.v1 import filter_pb2
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.filters import All, Any, Condition, Filter, Not, Operator
from groundwire_server.services.filters import constant, filter_of


def read(json: object) -> Filter:
    return filter_of(json_format.ParseDict(json, filter_pb2.Filter()), "filter")


def refused_field(message: filter_pb2.Filter) -> str:
    with pytest.raises(InvalidArgumentError) as refused:
        filter_of(message, "filter")
    return refused.value.violations[0].field


def test_clauses_and_operators_are_read() -> None:
    chosen = read(
        {
            "all": {
                "filters": [
                    {"condition": {"field": "year", "gte": 1999}},
                    {"not": {"condition": {"field": "a.b", "exists": True}}},
                    {
                        "any": {
                            "filters": [
                                {"condition": {"field": "tag", "in": ["x", 1, False]}},
                                {"condition": {"field": "$id", "prefix": "doc#"}},
                            ]
                        }
                    },
                ]
            }
        }
    )
    assert chosen == All(
        (
            Condition("year", Operator.GTE, 1999),
            Not(Condition("a.b", Operator.EXISTS, True)),
            Any(
                (
                    Condition("tag", Operator.IN, ("x", 1.0, False)),
                    Condition("$id", Operator.PREFIX, "doc#"),
                )
            ),
        )
    )


@pytest.mark.parametrize("operator", [operator.value for operator in Operator])
def test_every_operator_is_read(operator: str) -> None:
    value = {"in": ["x"], "exists": False}.get(operator, "x")
    chosen = read({"condition": {"field": "f", operator: value}})
    assert isinstance(chosen, Condition)
    assert chosen.operator.value == operator
    assert chosen.value == (("x",) if operator == "in" else value)


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        ({"field": "f", "eq": None}, "eq"),
        ({"field": "f", "eq": [1]}, "eq"),
        ({"field": "f", "ne": {"a": 1}}, "ne"),
        ({"field": "f", "lt": True}, "lt"),
        ({"field": "f", "gte": None}, "gte"),
        ({"field": "f", "in": ["x", None]}, "in[1]"),
        ({"field": "", "eq": 1}, "field"),
        ({"field": "f" * 257, "eq": 1}, "field"),
    ],
)
def test_a_wrong_operand_is_refused_with_its_path(condition: object, field: str) -> None:
    nested = {"all": {"filters": [{"all": {}}, {"not": {"condition": condition}}]}}
    message = json_format.ParseDict(nested, filter_pb2.Filter())
    assert refused_field(message) == f"filter.all.filters[1].not.condition.{field}"


def test_a_number_that_json_lacks_is_refused() -> None:
    message = filter_pb2.Filter()
    message.condition.field = "f"
    message.condition.lt.number_value = float("nan")
    assert refused_field(message) == "filter.condition.lt"


def test_more_alternatives_than_allowed_are_refused() -> None:
    many = {"condition": {"field": "f", "in": ["x"] * 10_001}}
    message = json_format.ParseDict(many, filter_pb2.Filter())
    assert refused_field(message) == "filter.condition.in"


def test_a_clause_or_an_operator_that_is_not_set_is_refused() -> None:
    assert refused_field(filter_pb2.Filter()) == "filter"
    no_operator = filter_pb2.Filter(condition=filter_pb2.FilterCondition(field="f"))
    assert refused_field(no_operator) == "filter.condition"


def nested(levels: int) -> filter_pb2.Filter:
    json: object = {"condition": {"field": "f", "eq": 1}}
    for _ in range(levels - 1):
        json = {"not": json}
    return json_format.ParseDict(json, filter_pb2.Filter())


def test_sixteen_levels_are_read_and_one_more_refused() -> None:
    filter_of(nested(16), "filter")
    assert refused_field(nested(17)) == "filter"


def wide(nodes: int) -> filter_pb2.Filter:
    parts = [{"condition": {"field": "f", "eq": 1}}] * (nodes - 1)
    return json_format.ParseDict({"any": {"filters": parts}}, filter_pb2.Filter())


def test_256_nodes_are_read_and_one_more_refused() -> None:
    filter_of(wide(256), "filter")
    assert refused_field(wide(257)) == "filter"


@pytest.mark.parametrize(
    ("json", "value"),
    [
        ({"all": {}}, True),
        ({"any": {}}, False),
        ({"not": {"any": {}}}, True),
        ({"any": {"filters": [{"condition": {"field": "f", "eq": 1}}, {"all": {}}]}}, True),
        ({"all": {"filters": [{"condition": {"field": "f", "eq": 1}}, {"any": {}}]}}, False),
        ({"all": {"filters": [{"condition": {"field": "f", "eq": 1}}, {"all": {}}]}}, None),
        ({"not": {"condition": {"field": "f", "eq": 1}}}, None),
    ],
)
def test_filters_that_do_not_depend_on_the_record_are_known(
    json: object, value: bool | None
) -> None:
    assert constant(read(json)) is value
