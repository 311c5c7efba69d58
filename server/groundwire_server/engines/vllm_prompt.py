"""What a model reads, by its own tokenizer and chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groundwire_index.errors import FailedPreconditionError, InvalidArgumentError
from groundwire_index.records import JsonValue

from groundwire_server.engines.engine import Message
from groundwire_server.engines.openai_messages import chat_message, tool_message
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput

# So many characters take no longer to tokenize than a thread takes to hand them over and back. When
# many requests come at once, each thread waits for Python's lock, up to the switch interval.
_SHORT = 2000


class VllmPrompts:
    """Makes prompts for one model, in this process."""

    def __init__(self, renderer: Any, model: str) -> None:
        self._renderer = renderer
        self._model = model

    async def rendered(
        self, content: str | Sequence[Message], template: TemplateInput = NOTHING_BESIDES
    ) -> Any:
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
        parameters = ChatParams(chat_template_kwargs=_told(template))
        unlimited = TokenizeParams(max_total_tokens=None, add_special_tokens=False)
        chat = [chat_message(message) for message in content]
        try:
            length = sum(len(text) for message in content for text in message.texts)
            if not template.tools and length <= _SHORT:
                _, (prompt,) = self._renderer.render_chat([chat], parameters, unlimited)
            else:
                _, (prompt,) = await self._renderer.render_chat_async([chat], parameters, unlimited)
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

    async def count(self, content: str | Sequence[Message], template: TemplateInput) -> int:
        """Tokens of a text as it is, or of messages as `rendered` makes them a prompt."""
        if not isinstance(content, str):
            return len((await self.rendered(content, template))["prompt_token_ids"])
        from vllm.renderers import TokenizeParams

        unlimited = TokenizeParams(max_total_tokens=None, add_special_tokens=False)
        (counted,) = await self._renderer.tokenize_prompts_async([{"prompt": content}], unlimited)
        return len(counted["prompt_token_ids"])


def template_arguments(arguments: Mapping[str, JsonValue]) -> dict[str, Any]:
    """All arguments of a template; also for parsers whose model reasons only if it says so."""
    return {**arguments, "add_generation_prompt": True}


def _told(template: TemplateInput) -> dict[str, Any]:
    arguments = template_arguments(template.arguments)
    if not template.tools:
        return arguments
    return {**arguments, "tools": [tool_message(tool) for tool in template.tools]}
