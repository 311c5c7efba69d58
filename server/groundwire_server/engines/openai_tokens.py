"""How many tokens a prompt has, about, where there is no tokenizer to ask."""

from __future__ import annotations

from collections.abc import Sequence

from groundwire_server.engines.engine import Message

# English has about 4 bytes of UTF-8 a token, most other languages and code 2.5 to 3.5. Rather
# a few too many, so that what was packed by it fits.
_BYTES_PER_TOKEN = 3
# What a chat template puts around a message.
_TOKENS_PER_MESSAGE = 6


def bytes_of(content: str | Sequence[Message]) -> int:
    """Bytes of UTF-8: a text has no more tokens than these."""
    texts = [content] if isinstance(content, str) else [message.content for message in content]
    return sum(len(text.encode()) for text in texts)


def estimated_tokens(content: str | Sequence[Message]) -> int:
    """Tokens of a text, or of messages under a chat template: one for three bytes of UTF-8."""
    around = 0 if isinstance(content, str) else _TOKENS_PER_MESSAGE * len(content)
    return around + -(-bytes_of(content) // _BYTES_PER_TOKEN)
