"""Reads the parameters of an index, which come as text, and says which are allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from groundwire_index.errors import InvalidArgumentError


def whole_numbers(
    kind: str,
    given: Mapping[str, str],
    allowed: Mapping[str, range],
    others: Collection[str] = (),
) -> dict[str, int]:
    """The parameters as numbers, each within its range; the kind has ``others`` as well."""
    for name in given:
        _require_known(kind, name, {*allowed, *others})
    return {name: _number(name, text, allowed[name]) for name, text in given.items()}


def one_of(
    kind: str,
    given: Mapping[str, str],
    allowed: Mapping[str, Collection[str]],
    others: Collection[str] = (),
) -> dict[str, str]:
    """Those of the parameters that are one of some words; the kind has ``others`` as well."""
    for name in given:
        _require_known(kind, name, {*allowed, *others})
    words = {name: text for name, text in given.items() if name in allowed}
    for name, text in words.items():
        if text not in allowed[name]:
            raise InvalidArgumentError(
                _field(name), f"must be one of {', '.join(allowed[name])}, is {text[:40]!r}"
            )
    return words


def _require_known(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        has = f"has {', '.join(sorted(known))}" if known else "takes none"
        raise InvalidArgumentError(_field(name), f"{kind} has no such parameter; it {has}")


def _number(name: str, text: str, values: range) -> int:
    if text.isascii() and text.isdigit() and int(text) in values:
        return int(text)
    steps = "" if values.step == 1 else f" in steps of {values.step}"
    raise InvalidArgumentError(
        _field(name),
        f"must be a whole number from {values[0]} to {values[-1]}{steps}, is {text[:40]!r}",
    )


def _field(name: str) -> str:
    return f'index.parameters["{name}"]'
