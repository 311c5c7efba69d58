"""Forms that an output may have, and what tells whether one has it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import jsonschema
from groundwire.v1.generation_pb2 import Choice, Constraint

VISIT = {
    "type": "object",
    "properties": {
        "year": {"type": "integer", "minimum": 1900, "maximum": 2100},
        "night": {"type": "boolean"},
        "lamps": {"type": "array", "items": {"enum": ["red", "white"]}, "maxItems": 3},
        "guide": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 6}]},
    },
    "required": ["year", "night", "lamps", "guide"],
    "additionalProperties": False,
}
DATE = r"(19|20)[0-9]{2}-[01][0-9] (望遠鏡|öffnet)"
SUM = 'root ::= term ("+" term)?\nterm ::= [0-9] | "(" [0-9] "*" [0-9] ")"'
LARK = 'start: DAY " " ("morning" | "evening")\nDAY: "Monday" | "Tuesday"'
OPTIONS = ['a "quoted" one', "two\nlines", "12 € — 望遠鏡 🔭", "a\\"]

FORMS: dict[str, tuple[Constraint, Callable[[str], Any]]] = {
    "json_schema": (
        Constraint(json_schema=json.dumps(VISIT)),
        lambda text: jsonschema.validate(json.loads(text), VISIT) is None,
    ),
    "regex": (Constraint(regex=DATE), re.compile(DATE).fullmatch),
    "grammar": (
        Constraint(grammar=SUM),
        re.compile(r"(\d|\(\d\*\d\))(\+(\d|\(\d\*\d\)))?", re.ASCII).fullmatch,
    ),
    "lark": (
        Constraint(grammar=LARK),
        re.compile("(Monday|Tuesday) (morning|evening)").fullmatch,
    ),
    "choice": (Constraint(choice=Choice(options=OPTIONS)), OPTIONS.__contains__),
}
