"""JSON objects and filters keep their meaning on the wire."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict
from groundwire import all_of, any_of, not_, where
from groundwire.results.collections import collection
from groundwire.v1.collection_pb2 import Collection
from groundwire.values import from_struct, to_struct


def test_metadata_survives_the_way_there_and_back() -> None:
    metadata = {
        "title": "A",
        "year": 2031,
        "score": 0.5,
        "draft": False,
        "none": None,
        "tags": ["a", 1, {"deep": True}],
        "author": {"name": "Ada"},
        "empty": {},
    }
    assert from_struct(to_struct(metadata)) == metadata


def test_whole_numbers_stay_whole_and_booleans_stay_booleans() -> None:
    back = from_struct(to_struct({"whole": 3, "yes": True}))
    assert type(back["whole"]) is int
    assert back["yes"] is True


def test_a_number_that_would_lose_digits_is_refused() -> None:
    with pytest.raises(ValueError, match="send it as text"):
        to_struct({"id": 2**53 + 1})


@pytest.mark.parametrize("value", [b"bytes", object(), {1: "key"}, {1, 2}])
def test_what_is_not_json_is_refused(value) -> None:
    with pytest.raises(TypeError):
        to_struct({"value": value})


def test_filters_nest_as_they_are_written() -> None:
    made = all_of(
        where("year").gte(2020),
        any_of(where("lang").eq("en"), where("tags").one_of(["a", 2])),
        not_(where("draft").exists()),
    )
    assert MessageToDict(made) == {
        "all": {
            "filters": [
                {"condition": {"field": "year", "gte": 2020.0}},
                {
                    "any": {
                        "filters": [
                            {"condition": {"field": "lang", "eq": "en"}},
                            {"condition": {"field": "tags", "in": ["a", 2.0]}},
                        ]
                    }
                },
                {"not": {"condition": {"field": "draft", "exists": True}}},
            ]
        }
    }


@pytest.mark.parametrize("operator", ["eq", "ne", "lt", "lte", "gt", "gte"])
def test_each_comparison_is_itself(operator: str) -> None:
    made = getattr(where("x"), operator)(1)
    assert made.condition.WhichOneof("operator") == operator


@pytest.mark.parametrize("operator", ["contains", "prefix"])
def test_each_text_condition_is_itself(operator: str) -> None:
    made = getattr(where("x"), operator)("a")
    assert getattr(made.condition, operator) == "a"


def test_missing_is_not_exists() -> None:
    made = where("x").missing()
    assert made.condition.WhichOneof("operator") == "exists"
    assert made.condition.exists is False


def test_a_word_this_client_does_not_know_is_unknown() -> None:
    assert collection(Collection(name="c", state=99)).state == "unknown"
