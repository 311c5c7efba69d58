"""Requests to count tokens on the wire."""

from __future__ import annotations

from groundwire.v1 import generate_service_pb2
from groundwire_index.errors import InvalidArgumentError

from groundwire_server.engines.engine import Message
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.services.generation_messages import messages_of
from groundwire_server.services.generation_template import template_arguments_of
from groundwire_server.services.generation_tools import offered_tools
from groundwire_server.services.validate import MAX_TEXT_BYTES, require, require_bytes


def counted_of(
    message: generate_service_pb2.CountTokensRequest,
) -> tuple[str | tuple[Message, ...], TemplateInput]:
    """Read what is to be counted. Raises InvalidArgumentError."""
    match message.WhichOneof("input"):
        case "text":
            require_bytes(message.text, "text", max_bytes=MAX_TEXT_BYTES)
            require(not message.tools, "tools", "needs `chat`: a `text` has no chat template")
            return message.text, NOTHING_BESIDES
        case "chat":
            messages = messages_of(message.chat.messages, "chat.messages")
            arguments = template_arguments_of(message.chat, "chat")
            tools = offered_tools(message.tools) if message.tools else ()
            return messages, TemplateInput(tools, arguments)
    raise InvalidArgumentError("input", "set text or chat")
