"""Chats on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from groundwire.v1 import generation_pb2
from groundwire_index.errors import InvalidArgumentError, UnsupportedError

from groundwire_server.engines.engine import Message, Role
from groundwire_server.services.validate import require, require_bytes, require_count, require_text

MAX_MESSAGES = 10_000
MAX_NAME_BYTES = 256

_ROLES: dict[int, Role] = {
    generation_pb2.ROLE_SYSTEM: Role.SYSTEM,
    generation_pb2.ROLE_USER: Role.USER,
    generation_pb2.ROLE_ASSISTANT: Role.ASSISTANT,
    generation_pb2.ROLE_TOOL: Role.TOOL,
}
_ANSWERED = (Role.USER, Role.TOOL)


def chat_of(chat: generation_pb2.Chat, field: str) -> tuple[Message, ...]:
    """Read a chat that is to be answered. Raises InvalidArgumentError."""
    messages = messages_of(chat.messages, f"{field}.messages")
    last = len(messages) - 1
    require(
        messages[last].role in _ANSWERED,
        f"{field}.messages[{last}].role",
        "the last message must be ROLE_USER or ROLE_TOOL",
    )
    return messages


def messages_of(messages: Sequence[generation_pb2.Message], field: str) -> tuple[Message, ...]:
    """Read any chat. Raises InvalidArgumentError."""
    require_count(len(messages), field, high=MAX_MESSAGES)
    read = tuple(_message_of(one, f"{field}[{at}]") for at, one in enumerate(messages))
    _require_system_first(read, field)
    return read


def _message_of(message: generation_pb2.Message, field: str) -> Message:
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidArgumentError(
            f"{field}.role",
            "must be one of ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL",
        )
    if message.tool_calls:
        require(
            role is Role.ASSISTANT, f"{field}.tool_calls", "only a ROLE_ASSISTANT message has them"
        )
        raise UnsupportedError(
            f"{field}.tool_calls: this server does not take tool calls yet; send their results "
            "as text",
            reason="TOOLS_UNSUPPORTED",
        )
    require_text(message.content, f"{field}.content")
    require_bytes(message.name, f"{field}.name", max_bytes=MAX_NAME_BYTES)
    return Message(role, message.content, message.name)


def _require_system_first(messages: Iterable[Message], field: str) -> None:
    for number, message in enumerate(messages):
        require(
            number == 0 or message.role is not Role.SYSTEM,
            f"{field}[{number}].role",
            "there may be one ROLE_SYSTEM message, and it must be the first",
        )
