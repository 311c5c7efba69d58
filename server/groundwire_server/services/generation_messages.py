"""Chats on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from groundwire.v1 import generation_pb2
from groundwire_index.errors import InvalidArgumentError

from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.tools import ToolCall
from groundwire_server.services.validate import (
    MAX_TEXT_BYTES,
    require,
    require_bytes,
    require_count,
    require_id,
    require_text,
)

MAX_MESSAGES = 10_000
MAX_CALLS = 128
MAX_NAME_BYTES = 256

_ROLES: dict[int, Role] = {
    generation_pb2.ROLE_SYSTEM: Role.SYSTEM,
    generation_pb2.ROLE_USER: Role.USER,
    generation_pb2.ROLE_ASSISTANT: Role.ASSISTANT,
    generation_pb2.ROLE_TOOL: Role.TOOL,
}
_ANSWERED = (Role.USER, Role.TOOL)


def call_message(call: ToolCall) -> generation_pb2.ToolCall:
    """Write a call."""
    return generation_pb2.ToolCall(id=call.id, name=call.name, arguments=call.arguments)


def chat_of(chat: generation_pb2.Chat, field: str, *, goes_on: bool = False) -> tuple[Message, ...]:
    """Read a chat that is to be answered. Raises InvalidArgumentError.

    ``goes_on``: other messages go before it, which may have made the calls that it answers.
    """
    messages = messages_of(chat.messages, f"{field}.messages", goes_on=goes_on)
    last = len(messages) - 1
    require(
        messages[last].role in _ANSWERED,
        f"{field}.messages[{last}].role",
        "the last message must be ROLE_USER or ROLE_TOOL",
    )
    return messages


def messages_of(
    messages: Sequence[generation_pb2.Message], field: str, *, goes_on: bool = False
) -> tuple[Message, ...]:
    """Read any chat. Raises InvalidArgumentError."""
    require_count(len(messages), field, high=MAX_MESSAGES)
    read = tuple(_message_of(one, f"{field}[{at}]") for at, one in enumerate(messages))
    _require_system_first(read, field)
    if not goes_on:
        _require_calls_before_results(read, field)
    return read


def _message_of(message: generation_pb2.Message, field: str) -> Message:
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidArgumentError(
            f"{field}.role",
            "must be one of ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL",
        )
    calls = calls_of(message.tool_calls, role, f"{field}.tool_calls")
    if message.content or not calls:
        require_text(message.content, f"{field}.content")
    require_bytes(message.name, f"{field}.name", max_bytes=MAX_NAME_BYTES)
    return Message(role, message.content, message.name, calls)


def calls_of(
    calls: Sequence[generation_pb2.ToolCall], role: Role, field: str
) -> tuple[ToolCall, ...]:
    """Read the calls of a message. Raises InvalidArgumentError."""
    require(not calls or role is Role.ASSISTANT, field, "only a ROLE_ASSISTANT message has them")
    require_count(len(calls), field, low=0, high=MAX_CALLS)
    read: dict[str, ToolCall] = {}
    for number, call in enumerate(calls):
        at = f"{field}[{number}]"
        for part, value in (("id", call.id), ("name", call.name)):
            require_id(value, f"{at}.{part}")
            require_bytes(value, f"{at}.{part}", max_bytes=MAX_NAME_BYTES)
        require(call.id not in read, f"{at}.id", "another call of this message has it")
        require_bytes(call.arguments, f"{at}.arguments", max_bytes=MAX_TEXT_BYTES)
        _check_arguments(call.arguments, f"{at}.arguments")
        read[call.id] = ToolCall(call.id, call.name, call.arguments)
    return tuple(read.values())


def _check_arguments(arguments: str, field: str) -> None:
    try:
        parsed = json.loads(arguments, parse_constant=_no_constant)
    except ValueError as error:
        raise InvalidArgumentError(field, f"is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidArgumentError(field, "is nested too deeply") from error
    require(isinstance(parsed, dict), field, "must be a JSON object")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no value")


def _require_calls_before_results(messages: Iterable[Message], field: str) -> None:
    made: set[str] = set()
    for number, message in enumerate(messages):
        made.update(call.id for call in message.tool_calls)
        require(
            message.role is not Role.TOOL or message.name in made,
            f"{field}[{number}].name",
            "a ROLE_TOOL message must name the id of a call that a message before it made",
        )


def _require_system_first(messages: Iterable[Message], field: str) -> None:
    for number, message in enumerate(messages):
        require(
            number == 0 or message.role is not Role.SYSTEM,
            f"{field}[{number}].role",
            "there may be one ROLE_SYSTEM message, and it must be the first",
        )
