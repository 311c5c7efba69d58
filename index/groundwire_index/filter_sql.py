"""Filters as SQL over a row's metadata.

Every condition becomes an expression that is 0 or 1, never NULL, so that NOT inverts it. All
values travel as parameters. Floating-point values travel as JSON and are read by the same
routine as the metadata, so that equal numbers stay equal however SQLite rounds them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from groundwire_index.encoding import MAX_METADATA_LEVELS
from groundwire_index.filter_checks import check_filter
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

Parameter = str | int | float


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL with the values of its ``?``s, in order."""

    text: str
    parameters: tuple[Parameter, ...] = ()

    def __add__(self, other: Sql | str) -> Sql:
        if isinstance(other, str):
            return Sql(self.text + other, self.parameters)
        return Sql(self.text + other.text, self.parameters + other.parameters)

    def __radd__(self, other: str) -> Sql:
        return Sql(other + self.text, self.parameters)


@dataclass(frozen=True, slots=True)
class CompiledFilter:
    """A checked filter. Equal ones mean the same, which filters that Python calls equal need
    not: to it, 1 and True are one.
    """

    sql: Sql
    """An expression over the columns of ``rows r``."""
    where: Filter = field(compare=False)


TRUE = Sql("1")
FALSE = Sql("0")

_COMPARISONS = {
    Operator.EQ: "=",
    Operator.NE: "=",
    Operator.LT: "<",
    Operator.LTE: "<=",
    Operator.GT: ">",
    Operator.GTE: ">=",
}


def compile_filter(where: Filter | None, path: str = "filter") -> CompiledFilter:
    """A filter ready for use; one that is always true without a filter.

    Raises InvalidArgumentError, with paths that begin with ``path``.
    """
    if where is None:
        where = All(())
    check_filter(where, path)
    return CompiledFilter(_expression(where), where)


def digest_of(compiled: CompiledFilter) -> bytes:
    """Equal for equal filters; 32 bytes."""
    sql = compiled.sql
    return hashlib.sha256(json.dumps([sql.text, sql.parameters]).encode()).digest()


def _expression(where: Filter) -> Sql:
    match where:
        case All(parts):
            return _joined(parts, " AND ", TRUE)
        case Any(parts):
            return _joined(parts, " OR ", FALSE)
        case Not(part):
            return "(NOT " + _expression(part) + ")"
        case Condition():
            return _condition(where)


def _joined(parts: Sequence[Filter], joiner: str, empty: Sql) -> Sql:
    if not parts:
        return empty
    joined = "(" + _expression(parts[0])
    for part in parts[1:]:
        joined = joined + joiner + _expression(part)
    return joined + ")"


def _condition(condition: Condition) -> Sql:
    target = _target_of(condition.field)
    match condition.operator:
        case Operator.EXISTS:
            present = "(coalesce(" + target.type + ", 'null') <> 'null')"
            return present if condition.value else "(NOT " + present + ")"
        case Operator.NE:
            present = "coalesce(" + target.type + ", 'null') <> 'null'"
            return "(" + present + " AND NOT " + _compare(target, condition) + ")"
        case Operator.IN:
            return _one_of(target, condition.value)  # type: ignore[arg-type]
        case Operator.CONTAINS:
            return target.test(("text",), "instr(", ", ?) > 0", (str(condition.value),))
        case Operator.PREFIX:
            prefix = str(condition.value)
            test = f", 1, {len(prefix)}) = ?"
            return target.test(("text",), "substr(", test, (prefix,))
        case _:
            return _compare(target, condition)


def _compare(target: _Target, condition: Condition) -> Sql:
    value = condition.value
    if isinstance(value, bool):
        return target.test(("true" if value else "false",), "", " IS NOT NULL", ())
    comparison = _COMPARISONS[condition.operator]
    if isinstance(value, str):
        return target.test(("text",), "", f" {comparison} ?", (value,))
    number, parameter = _number(value)  # type: ignore[arg-type]
    return target.test(("integer", "real"), "", f" {comparison} {number}", (parameter,))


def _one_of(target: _Target, values: Iterable[Scalar]) -> Sql:
    texts: list[str] = []
    numbers: list[int | float] = []
    truths: set[bool] = set()
    for value in values:
        if isinstance(value, bool):
            truths.add(value)
        elif isinstance(value, str):
            texts.append(value)
        else:
            numbers.append(value)
    found = [_compare(target, Condition("", Operator.EQ, truth)) for truth in sorted(truths)]
    # JSON cannot carry U+0000 through SQLite; nothing stored has it.
    texts = [text for text in texts if "\0" not in text]
    for types, group in ((("text",), texts), (("integer", "real"), numbers)):
        if group:
            listed = (json.dumps(group, ensure_ascii=False),)
            test = " IN (SELECT value FROM json_each(?))"
            found.append(target.test(types, "", test, listed))
    joined = "(" + (found[0] if found else FALSE)
    for one in found[1:]:
        joined = joined + " OR " + one
    return joined + ")"


def _number(value: int | float) -> tuple[str, Parameter]:
    if isinstance(value, int):
        return "?", value
    return "json_extract(?, '$')", json.dumps(value)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a condition is about, as SQL: its JSON type, its value, its elements if a list."""

    type: Sql
    value: Sql
    elements: Sql | None
    """A table with the columns of json_each."""

    def test(
        self, types: tuple[str, ...], before: str, after: str, parameters: tuple[Parameter, ...]
    ) -> Sql:
        """True if the value, or one element, is of one of the types and passes the test.

        The test is ``before``, the value, ``after``.
        """
        passed = Sql(after, parameters)
        cases = "(CASE " + self.type
        for name in types:
            cases = cases + f" WHEN '{name}' THEN " + before + self.value + passed
        if self.elements is not None:
            names = ", ".join(f"'{name}'" for name in types)
            found = "SELECT 1 FROM " + self.elements  # noqa: S608 - values are parameters
            found = found + f" e WHERE e.type IN ({names}) AND {before}e.atom" + passed
            cases = cases + " WHEN 'array' THEN EXISTS (" + found + ")"
        return cases + " ELSE 0 END)"


def _target_of(field: str) -> _Target:
    if field == RECORD_ID:
        return _Target(Sql("'text'"), Sql("r.id"), None)
    if field == DOCUMENT_ID:
        present = Sql("CASE r.document_id WHEN '' THEN NULL ELSE 'text' END")
        return _Target(present, Sql("r.document_id"), None)
    keys = field.split(".")
    if len(keys) > MAX_METADATA_LEVELS:
        return _Target(Sql("NULL"), Sql("NULL"), None)
    if all(_is_plain(key) for key in keys):
        path = ("$" + "".join(f'."{key}"' for key in keys),)
        return _Target(
            Sql("json_type(r.metadata, ?)", path),
            Sql("json_extract(r.metadata, ?)", path),
            Sql("json_each(r.metadata, ?)", path),
        )
    return _walked(keys)


def _is_plain(key: str) -> bool:
    """Whether a JSON path can name the key: it cannot escape anything."""
    return bool(key) and not any(char in '"\\' or char < " " for char in key)


def _walked(keys: Sequence[str]) -> _Target:
    tables = ["json_each(r.metadata) k0"]
    for level in range(1, len(keys)):
        outer = f"k{level - 1}"
        inside = f"CASE {outer}.type WHEN 'object' THEN {outer}.value ELSE '{{}}' END"
        tables.append(f"json_each({inside}) k{level}")
    found = " AND ".join(f"k{level}.key = ?" for level in range(len(keys)))
    walk = f"FROM {' CROSS JOIN '.join(tables)} WHERE {found}"
    last = f"k{len(keys) - 1}"
    parameters = tuple(keys)
    return _Target(
        Sql(f"(SELECT {last}.type {walk})", parameters),
        Sql(f"(SELECT {last}.atom {walk})", parameters),
        Sql(f"json_each((SELECT {last}.value {walk} AND {last}.type = 'array'))", parameters),
    )
