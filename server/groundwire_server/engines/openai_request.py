"""A request for text as the OpenAI API takes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from groundwire_index.errors import UnsupportedError
from groundwire_index.records import JsonValue

from groundwire_server.engines.engine import EngineRequest, Message
from groundwire_server.engines.openai_constraint import constraint_fields, is_carried
from groundwire_server.engines.openai_dialect import Dialect
from groundwire_server.engines.openai_messages import chat_message, tool_message
from groundwire_server.engines.template import TemplateInput
from groundwire_server.engines.tools import ToolUse

CHAT = "/chat/completions"
COMPLETIONS = "/completions"

# vLLM adds the number of the choice to a seed, in 64 bits with a sign.
_SEED_MASK = 2**62 - 1
_SAME_IN_THE_API = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed")
# What is carried of each part, or need not be: the grounded passages are in the messages too, and
# what a request is to others is the business of the queue before the engine.
_REQUEST = frozenset(
    {
        "request_id",
        "sampling",
        "prompt",
        "messages",
        "constraint",
        "tools",
        "template_arguments",
        "grounded",
        "priority",
        "tenant",
        "deadline",
    }
)
_MESSAGE = frozenset({"role", "content", "name", "tool_calls"})
_SAMPLING = frozenset({*_SAME_IN_THE_API, "max_tokens", "stop", "n", "logprobs"})


def path_of(request: EngineRequest) -> str:
    """The endpoint that answers it."""
    return CHAT if request.prompt is None else COMPLETIONS


def body_of(
    request: EngineRequest,
    model: str,
    dialect: Dialect,
    max_tokens: int,
    template_arguments: Mapping[str, JsonValue],
) -> dict[str, Any]:
    """The JSON to send. Raises UnsupportedError for a field that the server does not have.

    The chat template is given ``template_arguments`` where the request does not say otherwise.
    """
    _require_carried(request, dialect)
    sampling = request.sampling
    given = {name: getattr(sampling, name) for name in (*_SAME_IN_THE_API, *dialect.sampling)}
    if sampling.seed is not None:
        given["seed"] = sampling.seed & _SEED_MASK
    return {
        "model": model,
        **_prompt(request, template_arguments),
        **{name: value for name, value in given.items() if value is not None},
        **({"stop": list(sampling.stop)} if sampling.stop else {}),
        **({"n": sampling.n} if sampling.n > 1 else {}),
        **_logprobs(sampling.logprobs, request.prompt is None),
        **_choice(request.tools),
        **constraint_fields(request.constraint),
        "max_tokens": max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True, **dialect.stream_options},
    }


def prompt_of(content: str | Sequence[Message], template: TemplateInput) -> dict[str, Any]:
    """What is to be continued: a text, or messages with what the template is given besides."""
    if isinstance(content, str):
        return {"prompt": content}
    return {
        "messages": [chat_message(message) for message in content],
        **({"tools": [tool_message(tool) for tool in template.tools]} if template.tools else {}),
        **({"chat_template_kwargs": template.arguments} if template.arguments else {}),
    }


def _prompt(request: EngineRequest, defaults: Mapping[str, JsonValue]) -> dict[str, Any]:
    content = request.messages if request.prompt is None else request.prompt
    return prompt_of(content, request.template.over(defaults))


def _choice(use: ToolUse | None) -> dict[str, Any]:
    if use is None:
        return {}
    choice: Any = "required" if use.required else "auto"
    if use.name:
        choice = {"type": "function", "function": {"name": use.name}}
    return {"tool_choice": choice}


def _logprobs(wanted: int | None, chat: bool) -> dict[str, Any]:
    if wanted is None:
        return {}
    return {"logprobs": True, "top_logprobs": wanted} if chat else {"logprobs": wanted}


def _require_carried(request: EngineRequest, dialect: Dialect) -> None:
    lost = [
        *_lost(request, _REQUEST, ""),
        *(each for one in request.messages for each in _lost(one, _MESSAGE, "chat.messages.")),
        *_lost(request.sampling, _SAMPLING | dialect.sampling, "sampling."),
        *_lost_form(request, dialect),
        *_lost_arguments(request, dialect),
    ]
    if lost:
        raise UnsupportedError(
            f"{lost[0]}: the model is served over the OpenAI API, which has no such field there; "
            "leave it out (vLLM has more than others: openai_dialect)",
            reason="FIELD_UNSUPPORTED",
            metadata={"fields": ", ".join(lost)},
        )


def _lost(part: Any, carried: frozenset[str], path: str) -> Iterator[str]:
    """The fields that are set and are not carried, also such as come to be later."""
    for field in dataclasses.fields(part):
        if field.name not in carried and getattr(part, field.name) != _default(field):
            yield path + field.name


def _lost_form(request: EngineRequest, dialect: Dialect) -> Iterator[str]:
    if request.constraint is not None and not is_carried(request, dialect):
        yield f"constraint.{request.constraint.form}"


def _lost_arguments(request: EngineRequest, dialect: Dialect) -> Iterator[str]:
    if request.template_arguments and not dialect.takes_template_arguments:
        yield "chat.template_arguments"


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
