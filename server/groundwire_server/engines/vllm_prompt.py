"""What a model reads, by its own tokenizer and chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from groundwire_index.errors import FailedPreconditionError, InvalidArgumentError

from groundwire_server.engines.engine import Message
from groundwire_server.engines.openai_messages import chat_message, tool_message
from groundwire_server.engines.tools import Tool

# Also what is told to parsers whose model reasons only if its template says so.
TEMPLATE_ARGUMENTS = {"add_generation_prompt": True}
# So many characters take no longer to tokenize than a thread takes to hand them over and back. When
# many requests come at once, each thread waits for Python's lock, up to the switch interval.
_SHORT = 2000


class VllmPrompts:
    """Makes prompts for one model, in this process."""

    def __init__(self, renderer: Any, model: str) -> None:
        self._renderer = renderer
        self._model = model

    async def rendered(self, content: str | Sequence[Message], tools: Sequence[Tool] = ()) -> Any:
        """The prompt as the engine reads it, of whatever length.

        Raises FailedPreconditionError without a chat template for messages, and
        InvalidArgumentError if that fails.
        """
        from vllm.exceptions import VLLMClientError
        from vllm.renderers import ChatParams, TokenizeParams
        from vllm.renderers.chat_utils import ChatTemplateResolutionError

        if isinstance(content, str):
            unlimited = TokenizeParams(max_total_tokens=None)
            if len(content) <= _SHORT:
                (prompt,) = self._renderer.render_cmpl([{"prompt": content}], unlimited)
            else:
                (prompt,) = await self._renderer.render_cmpl_async([{"prompt": content}], unlimited)
            return prompt
        offered = {"tools": [tool_message(tool) for tool in tools]} if tools else {}
        template = ChatParams(chat_template_kwargs={**TEMPLATE_ARGUMENTS, **offered})
        unlimited = TokenizeParams(max_total_tokens=None, add_special_tokens=False)
        chat = [chat_message(message) for message in content]
        try:
            if not tools and sum(len(message.content) for message in content) <= _SHORT:
                _, (prompt,) = self._renderer.render_chat([chat], template, unlimited)
            else:
                _, (prompt,) = await self._renderer.render_chat_async([chat], template, unlimited)
        except ChatTemplateResolutionError:
            raise FailedPreconditionError(
                f'"{self._model}" has no chat template: send `prompt` instead of `chat`',
                reason="NO_CHAT_TEMPLATE",
            ) from None
        except VLLMClientError as error:
            raise InvalidArgumentError(
                "chat", f'the chat template of "{self._model}" refuses it: {error}'
            ) from error
        return prompt

    async def count(self, content: str | Sequence[Message]) -> int:
        """Tokens of a text as it is, or of messages as `rendered` makes them a prompt."""
        if not isinstance(content, str):
            return len((await self.rendered(content))["prompt_token_ids"])
        from vllm.renderers import TokenizeParams

        unlimited = TokenizeParams(max_total_tokens=None, add_special_tokens=False)
        (counted,) = await self._renderer.tokenize_prompts_async([{"prompt": content}], unlimited)
        return len(counted["prompt_token_ids"])
