"""Messages and tools in the form of the OpenAI API, which chat templates read too."""

from __future__ import annotations

from typing import Any

from groundwire_server.engines.engine import Message, Role
from groundwire_server.engines.tools import Tool


def chat_message(message: Message) -> dict[str, Any]:
    """One message of a chat."""
    converted: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.name:
        converted["tool_call_id" if message.role is Role.TOOL else "name"] = message.name
    if message.tool_calls:
        converted["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return converted


def tool_message(tool: Tool) -> dict[str, Any]:
    """A tool that is offered."""
    described = {"description": tool.description} if tool.description else {}
    function = {"name": tool.name, **described, "parameters": dict(tool.schema)}
    return {"type": "function", "function": function}
