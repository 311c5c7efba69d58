"""Paths of refused fields."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from groundwire_index.errors import InvalidArgumentError


@contextmanager
def within(path: str) -> Iterator[None]:
    """Put a path before the fields that are refused in here, which are relative to it."""
    try:
        yield
    except InvalidArgumentError as error:
        (violation,) = error.violations
        raise InvalidArgumentError(
            f"{path}.{violation.field}", violation.description, reason=error.reason
        ) from error
