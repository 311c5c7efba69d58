"""Calls of tools among the messages of a session, and their results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from groundwire_index.errors import InvalidArgumentError

from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.tools import ToolCall


def without_abandoned(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The messages without calls that something else followed than the results of all of them.

    Who asks something new instead has abandoned them, and no chat may hold such: templates and
    servers refuse it. The last calls may still be answered.
    """
    messages = tuple(messages)
    kept: list[Message] = []
    at = 0
    while at < len(messages):
        message, at = messages[at], at + 1
        if not message.tool_calls:
            kept.append(message)
            continue
        results = _results(messages[at:])
        called = {call.id for call in message.tool_calls}
        missing = called - {result.name for result in results}
        if not missing or at + len(results) == len(messages):
            kept.append(message)
            continue
        at += len(results)
        if message.content:
            kept.append(replace(message, tool_calls=()))
        kept += [result for result in results if result.name not in called]
    return tuple(kept)


def require_all_answered(
    calls: Sequence[ToolCall], results: Sequence[Message], field: str, first: int
) -> None:
    """Raise InvalidArgumentError unless each of the calls has one result, and nothing else has.

    ``first`` is the number of the first of the results in the ``field``.
    """
    open_ids = [call.id for call in calls]
    for number, result in enumerate(results, start=first):
        if result.name not in open_ids:
            left = f"; left are {', '.join(open_ids)}" if open_ids else ""
            raise InvalidArgumentError(
                f"{field}[{number}].name",
                f'"{result.name}" is no call of the last turn of the session that has no result '
                f"yet{left}",
            )
        open_ids.remove(result.name)
    if open_ids:
        raise InvalidArgumentError(
            field, f"holds no result of the calls {', '.join(open_ids)}: answer all of them"
        )


def _results(messages: Sequence[Message]) -> Sequence[Message]:
    """Those that the first messages are, up to the first that is none."""
    others = (at for at, message in enumerate(messages) if message.role is not Role.TOOL)
    return messages[: next(others, len(messages))]
