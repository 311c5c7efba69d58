"""Which words the server puts around what is asked."""

from __future__ import annotations

import hashlib
from importlib.metadata import version

from groundwire_server.engines.engine import Message, Role
from groundwire_server.grounding.conversation import Conversation
from groundwire_server.grounding.events import Passage
from groundwire_server.grounding.prompt import plain_prompt_of, prompt_of

_ASKED = Message(Role.USER, "asked")
_CONVERSATION = Conversation("question", "system", ((_ASKED,),))
_PASSAGE = Passage(1, "chunk", "document", "title", "text", 1.0, 1.0, 1, ("heading",))


def prompt_version() -> str:
    """Another one whenever a prompt would be put in other words, or the server is another."""
    prompts = (
        prompt_of(_CONVERSATION, _CONVERSATION.history, [_PASSAGE]),
        prompt_of(_CONVERSATION, _CONVERSATION.history, [_PASSAGE], has_tools=True),
        prompt_of(_CONVERSATION, _CONVERSATION.history, []),
        plain_prompt_of(_CONVERSATION, _CONVERSATION.history),
    )
    words = hashlib.blake2b(repr(prompts).encode(), digest_size=16).hexdigest()
    return f"{version('groundwire')} {words}"
