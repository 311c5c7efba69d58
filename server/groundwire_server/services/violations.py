"""Paths of refused fields."""

from __future__ import annotations

from types import TracebackType

from groundwire_index.errors import InvalidArgumentError


class within:  # noqa: N801 - used like a function
    """Put a path before the fields that are refused in here, which are relative to it.

    Not a generator: batches enter it for each of their parts.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, InvalidArgumentError):
            (violation,) = error.violations
            raise InvalidArgumentError(
                f"{self._path}.{violation.field}", violation.description, reason=error.reason
            ) from error
