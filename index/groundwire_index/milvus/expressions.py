"""The filter as an expression of Milvus, which holds for the same records.

Every comparison says first that what it compares is there, so that none is unknown to Milvus,
and ``not`` means what it says. An expression is over rows that are records; see `schema`.
"""

from __future__ import annotations

from collections.abc import Iterable

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
from groundwire_index.milvus.facts import BEGIN, MANY_TEXTS, PRESENT, Kind, word_of
from groundwire_index.milvus.schema import DOCUMENT, FACTS, KEY, RECORD, RECORDS
from groundwire_index.milvus.words import text_word

_TRUE, _FALSE = RECORDS, f"not ({RECORDS})"
_SIGNS = {Operator.LT: "<", Operator.LTE: "<=", Operator.GT: ">", Operator.GTE: ">="}
_LEAST, _GREATEST = 0, 1


def expression_of(where: Filter | None) -> str:
    """Compile a filter. Raises InvalidArgumentError for one that is not allowed."""
    if where is None:
        return _TRUE
    check_filter(where)
    return _expression(where)


def _expression(where: Filter) -> str:
    match where:
        case All(parts):
            return _joined(" and ", map(_expression, parts)) or _TRUE
        case Any(parts):
            return _joined(" or ", map(_expression, parts)) or _FALSE
        case Not(part):
            return f"(not {_expression(part)})"
        case Condition():
            return f"({_condition(where)})"


def _joined(joiner: str, parts: Iterable[str]) -> str:
    joined = joiner.join(parts)
    return joined and f"({joined})"


def _condition(condition: Condition) -> str:
    if condition.field == RECORD_ID:
        return _of_column(KEY, _TRUE, condition)
    if condition.field == DOCUMENT_ID:
        return _of_column(DOCUMENT, f'{DOCUMENT} != ""', condition)
    return _of_field(text_word(condition.field), condition)


def _of_field(name: str, condition: Condition) -> str:
    """A comparison with the facts of a field of the metadata."""
    operator, value = condition.operator, condition.value
    present = f"exists {_fact(PRESENT, name)}"
    match operator:
        case Operator.EXISTS:
            return present if value else f"not ({present})"
        case Operator.NE:
            return f"{present} and not ({_equal(name, _alternatives(value))})"
        case Operator.EQ | Operator.IN:
            return _equal(name, _alternatives(value))
        case Operator.PREFIX:
            return _like(name, "{}%", BEGIN, str(value))
        case Operator.CONTAINS:
            return _like(name, "%{}%", "", str(value))
    kind, word = word_of(_alternatives(value)[0])
    end = _LEAST if operator in (Operator.LT, Operator.LTE) else _GREATEST
    fact = _fact(kind.value, name)
    return f'exists {fact} and {fact}[{end}] {_SIGNS[operator]} "{word}"'


def _equal(name: str, values: tuple[Scalar, ...]) -> str:
    words: dict[Kind, list[str]] = {}
    for value in values:
        kind, word = word_of(value)
        words.setdefault(kind, []).append(word)
    tests = []
    for kind, alternatives in words.items():
        fact = _fact(kind.value, name)
        tests.append(f"(exists {fact} and json_contains_any({fact}, [{_listed(alternatives)}]))")
    return _joined(" or ", tests) or _FALSE


def _like(name: str, pattern: str, before: str, value: str) -> str:
    word = text_word(value)
    one, many = _fact(Kind.TEXT.value, name), _fact(MANY_TEXTS, name)
    tests = (
        f'(exists {one} and {one}[{_LEAST}] like "{pattern.format(word)}")',
        f'(exists {many} and {many} like "%{before}{word}%")',
    )
    return " or ".join(tests)


def _of_column(column: str, present: str, condition: Condition) -> str:
    """A comparison with an id, which is a text or not there."""
    operator, value = condition.operator, condition.value
    match operator:
        case Operator.EXISTS:
            return present if value else f"not ({present})"
        case Operator.NE:
            return f"{present} and not ({_among(column, _alternatives(value))})"
        case Operator.EQ | Operator.IN:
            return _among(column, _alternatives(value))
    if not isinstance(value, str):
        return _FALSE
    word = text_word(value)
    match operator:
        case Operator.PREFIX:
            return f'{column} like "{RECORD}{word}%"'
        case Operator.CONTAINS:
            return f'{present} and {column} like "%{word}%"'
    return f'{present} and {column} {_SIGNS[operator]} "{RECORD}{word}"'


def _among(column: str, values: tuple[Scalar, ...]) -> str:
    words = [RECORD + text_word(value) for value in values if isinstance(value, str)]
    return f"{column} in [{_listed(words)}]" if words else _FALSE


def _fact(letter: str, name: str) -> str:
    return f'{FACTS}["{letter}{name}"]'


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _alternatives(value: Scalar | tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    return value if isinstance(value, tuple) else (value,)
