"""The calls of one choice, put together from their pieces."""

from __future__ import annotations

import json

from groundwire_server.engines.engine import ToolCallPiece
from groundwire_server.engines.tools import ToolCall


class CallTexts:
    """Calls as they come."""

    def __init__(self) -> None:
        self._heads: dict[int, tuple[str, str]] = {}
        self._arguments: dict[int, list[str]] = {}

    def add(self, piece: ToolCallPiece) -> None:
        """Take the next piece."""
        self._heads.setdefault(piece.index, (piece.id, piece.name))
        self._arguments.setdefault(piece.index, []).append(piece.arguments)

    def whole(self) -> tuple[ToolCall, ...] | None:
        """The calls in order; None if the arguments of one are no JSON object."""
        calls = tuple(
            ToolCall(*head, "".join(self._arguments[index])) for index, head in self._heads.items()
        )
        return calls if all(_is_object(call.arguments) for call in calls) else None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, parse_constant=_no_constant), dict)
    except (ValueError, RecursionError):
        return False


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no value")
