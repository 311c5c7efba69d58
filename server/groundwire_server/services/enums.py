"""Enums on the wire <-> the domain's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from groundwire_index.errors import InvalidArgumentError

T = TypeVar("T")


def enum_of(value: int, known: Mapping[int, T], field: str) -> T:
    """Look a wire value up. Raises InvalidArgumentError for one this server does not know."""
    try:
        return known[value]
    except KeyError:
        raise InvalidArgumentError(field, f"{value} is not a value of this enum") from None
