"""The calls of one choice, put together from their pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator

from groundwire_server.engines.engine import ToolCallPiece
from groundwire_server.engines.tools import ToolCall


class CallTexts:
    """Calls as they come."""

    def __init__(self) -> None:
        self._heads: dict[int, tuple[str, str]] = {}
        self._arguments: dict[int, list[str]] = {}

    def add(self, piece: ToolCallPiece) -> Iterator[ToolCallPiece]:
        """Take the next piece; give what the reader is to have of it."""
        if piece.index not in self._heads:
            yield from self.end(piece.choice)
            self._heads[piece.index] = (piece.id, piece.name)
        yield self._noted(piece)

    def end(self, choice: int) -> Iterator[ToolCallPiece]:
        """What the last call lacks when it is complete.

        Some servers leave out the arguments of a call without any, which are an empty object.
        """
        if self._heads:
            last = next(reversed(self._heads))
            if not "".join(self._arguments[last]).strip():
                yield self._noted(ToolCallPiece(last, "", "", "{}", 0, choice))

    def _noted(self, piece: ToolCallPiece) -> ToolCallPiece:
        self._arguments.setdefault(piece.index, []).append(piece.arguments)
        return piece

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
