"""Constraints of a generation: sent as they are, and refused by name if they can be none."""

from __future__ import annotations

from typing import Any

import pytest
from groundwire import Choice, Grammar, JsonSchema, Regex
from groundwire.requests.constraint import constraint_message
from groundwire.requests.generate import generate
from groundwire.v1 import generation_pb2


@pytest.mark.parametrize(
    ("constraint", "sent"),
    [
        (JsonSchema({"enum": ["é", 1]}), {"json_schema": '{"enum": ["\\u00e9", 1]}'}),
        (Regex("[0-9]+"), {"regex": "[0-9]+"}),
        (Grammar('root ::= "a"'), {"grammar": 'root ::= "a"'}),
        (Choice(("yes", "no")), {"choice": generation_pb2.Choice(options=["yes", "no"])}),
    ],
)
def test_every_form_is_sent(constraint: Any, sent: dict[str, Any]) -> None:
    assert constraint_message(constraint) == generation_pb2.Constraint(**sent)


@pytest.mark.parametrize(
    ("constraint", "complaint"),
    [
        ({"type": "object"}, r"constraint: \{'type': 'object'\} is no JsonSchema, Regex, Grammar"),
        ("", "constraint: '' is no JsonSchema"),
        (JsonSchema('{"type": "object"}'), r"JsonSchema.schema: .* is no mapping"),  # type: ignore[arg-type]
        (JsonSchema({"enum": [b"a"]}), "JsonSchema.schema is not JSON: .*bytes"),  # type: ignore[dict-item]
        (Regex(b"a"), "Regex.pattern: b'a' is no text"),  # type: ignore[arg-type]
        (Grammar(None), "Grammar.ebnf: None is no text"),  # type: ignore[arg-type]
        (Choice("yes"), "Choice.options: 'yes' is one text: give a tuple"),  # type: ignore[arg-type]
        (Choice(("yes", 1)), r"Choice.options\[1\]: 1 is no text"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_constraint_is_named(constraint: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=f"^{complaint}"):
        generate("Hello", constraint=constraint)


def test_a_schema_with_a_number_that_json_does_not_have_is_named() -> None:
    with pytest.raises(ValueError, match=r"^JsonSchema\.schema is not JSON: Out of range"):
        generate("Hello", constraint=JsonSchema({"minimum": float("nan")}))
