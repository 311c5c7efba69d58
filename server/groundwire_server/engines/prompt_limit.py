"""What is said of a prompt that the context does not hold."""

from __future__ import annotations

from groundwire_index.errors import LimitExceededError


def prompt_too_long(model: str, tokens: int, context_length: int) -> LimitExceededError:
    """For a prompt of so many tokens, which leaves no room for an answer."""
    return LimitExceededError(
        f"the prompt has {tokens:,} tokens; {context_length - 1:,} fit the context "
        f'of "{model}" and leave room for an answer',
        reason="PROMPT_TOO_LONG",
        metadata={"prompt_tokens": str(tokens), "context_length": str(context_length)},
    )
