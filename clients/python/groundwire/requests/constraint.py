"""The form that an output must have, as it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from groundwire.chat import Choice, Grammar, JsonSchema, Regex
from groundwire.v1 import generation_pb2


def constraint_message(constraint: object) -> generation_pb2.Constraint:
    """The message for a constraint. ``TypeError`` or ``ValueError`` says what cannot be one."""
    match constraint:
        case JsonSchema(schema):
            return generation_pb2.Constraint(json_schema=_json(schema))
        case Regex(pattern):
            return generation_pb2.Constraint(regex=_text(pattern, "Regex.pattern"))
        case Grammar(ebnf):
            return generation_pb2.Constraint(grammar=_text(ebnf, "Grammar.ebnf"))
        case Choice(options):
            return generation_pb2.Constraint(choice=_choice(options))
    raise TypeError(
        f"constraint: {constraint!r:.100} is no JsonSchema, Regex, Grammar or Choice of groundwire."
    )


def _json(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        raise TypeError(f"JsonSchema.schema: {schema!r:.100} is no mapping, such as a dict.")
    try:
        return json.dumps(dict(schema), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"JsonSchema.schema is not JSON: {error}") from error


def _choice(options: Any) -> generation_pb2.Choice:
    # A text is a sequence too: of its characters.
    if isinstance(options, str):
        raise TypeError(f"Choice.options: {options!r:.100} is one text: give a tuple of them.")
    return generation_pb2.Choice(
        options=[_text(option, f"Choice.options[{at}]") for at, option in enumerate(options)]
    )


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: {value!r:.100} is no text.")
    return value
