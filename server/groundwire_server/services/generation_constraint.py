"""The form that an output must have, on the wire: as far as it can be checked without an engine."""

from __future__ import annotations

import json

from groundwire.v1 import generation_pb2
from groundwire_index.errors import InvalidArgumentError

from groundwire_server.engines.engine import Constraint
from groundwire_server.services.validate import (
    require,
    require_bytes,
    require_count,
    require_text,
)

# Engines compile forms by recursion. A chain of references as long as this allows takes them a
# third of a thread's stack.
MAX_FORM_BYTES = 16 * 2**10
MAX_OPTIONS = 1000
# Items are counted out one by one when a schema is compiled: a hundred million take minutes.
MAX_ITEMS = 10_000
_COUNTED = ("minItems", "maxItems")


def constraint_of(message: generation_pb2.Constraint, field: str) -> Constraint:
    """Read a constraint. Raises InvalidArgumentError."""
    form = message.WhichOneof("form")
    match form:
        case "json_schema":
            _check_json_schema(message.json_schema, f"{field}.json_schema")
            return Constraint(json_schema=message.json_schema)
        case "regex":
            _check_text(message.regex, f"{field}.regex")
            return Constraint(regex=message.regex)
        case "grammar":
            _check_grammar(message.grammar, f"{field}.grammar")
            return Constraint(grammar=message.grammar)
        case "choice":
            options = tuple(message.choice.options)
            _check_options(options, f"{field}.choice.options")
            return Constraint(choice=options)
    raise InvalidArgumentError(field, "set one of json_schema, regex, grammar, choice")


def _check_json_schema(schema: str, field: str) -> None:
    _check_text(schema, field)
    try:
        parsed = json.loads(schema)
    except ValueError as error:
        raise InvalidArgumentError(field, f"is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidArgumentError(field, "is nested too deeply") from error
    require(isinstance(parsed, dict), field, "must be a JSON object, which describes a value")
    check_counts(parsed, field)


def check_counts(schema: object, field: str) -> None:
    """Refuse a schema that counts out more items than `MAX_ITEMS`."""
    pending = [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            pending += part.values()
            for keyword in _COUNTED:
                count = part.get(keyword)
                require(
                    not isinstance(count, int | float) or count <= MAX_ITEMS,
                    field,
                    f"{keyword} is {count}; at most {MAX_ITEMS:,} is allowed",
                )


def _check_grammar(grammar: str, field: str) -> None:
    _check_text(grammar, field)
    require("%json" not in grammar, field, "must not embed a schema (%json): use json_schema")


def _check_text(text: str, field: str) -> None:
    require_text(text, field, max_bytes=MAX_FORM_BYTES)
    require("\0" not in text, field, "must not hold the character U+0000")


def _check_options(options: tuple[str, ...], field: str) -> None:
    require_count(len(options), field, high=MAX_OPTIONS)
    for number, option in enumerate(options):
        require(bool(option), f"{field}[{number}]", "must not be empty")
        require("\0" not in option, f"{field}[{number}]", "must not hold the character U+0000")
    require_bytes("".join(options), field, max_bytes=MAX_FORM_BYTES)
