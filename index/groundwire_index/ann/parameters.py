"""Reads the parameters of an index, which come as text, and says which are allowed."""

from __future__ import annotations

from collections.abc import Mapping

from groundwire_index.errors import InvalidArgumentError


def whole_numbers(
    kind: str, given: Mapping[str, str], allowed: Mapping[str, range]
) -> dict[str, int]:
    """The parameters as numbers, each within its range."""
    return {name: _number(kind, name, text, allowed) for name, text in given.items()}


def _number(kind: str, name: str, text: str, allowed: Mapping[str, range]) -> int:
    field = f'index.parameters["{name}"]'
    if name not in allowed:
        has = f"has {', '.join(sorted(allowed))}" if allowed else "takes none"
        raise InvalidArgumentError(field, f"{kind} has no such parameter; it {has}")
    values = allowed[name]
    if text.isascii() and text.isdigit() and int(text) in values:
        return int(text)
    raise InvalidArgumentError(
        field, f"must be a whole number from {values[0]} to {values[-1]}, is {text[:40]!r}"
    )
