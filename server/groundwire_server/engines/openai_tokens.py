"""How many tokens a prompt has, about, where there is no tokenizer to ask."""

from __future__ import annotations

import json
from collections.abc import Sequence

from groundwire_server.engines.engine import Message
from groundwire_server.engines.openai_messages import tool_message
from groundwire_server.engines.tools import Tool

# English has about 4 bytes of UTF-8 a token, most other languages and code 2.5 to 3.5. Rather
# a few too many, so that what was packed by it fits.
_BYTES_PER_TOKEN = 3
# What a chat template puts around a message.
_TOKENS_PER_MESSAGE = 6


def bytes_of(content: str | Sequence[Message]) -> int:
    """Bytes of UTF-8: a text has no more tokens than these."""
    texts = [content] if isinstance(content, str) else [t for one in content for t in one.texts]
    return sum(len(text.encode()) for text in texts)


def estimated_tokens(content: str | Sequence[Message], tools: Sequence[Tool] = ()) -> int:
    """Tokens of a text, or of messages under a chat template: one for three bytes of UTF-8."""
    around = 0 if isinstance(content, str) else _TOKENS_PER_MESSAGE * len(content)
    return around + -(-(bytes_of(content) + tool_bytes(tools)) // _BYTES_PER_TOKEN)


def tool_bytes(tools: Sequence[Tool]) -> int:
    """Bytes of the tools that are put before a chat."""
    return sum(len(json.dumps(tool_message(tool))) for tool in tools)
