"""Generate, Complete and CountTokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from groundwire.call import Stream, Unary, call
from groundwire.chat import (
    CachePolicy,
    Constraint,
    Grounding,
    Message,
    Sampling,
    Tool,
    ToolChoice,
)
from groundwire.made import made
from groundwire.requests.constraint import constraint_message
from groundwire.requests.options import require_known
from groundwire.results import completion as results
from groundwire.v1 import generate_service_pb2, generation_pb2
from groundwire.v1.retrieve_service_pb2 import SearchMode
from groundwire.values import JSON, enum_number, to_struct

Input = str | Sequence[Message]
"""A user's message, or a chat with the oldest message first."""


class GenerateOptions(TypedDict, total=False):
    """What else a generation may be told."""

    prompt: str
    """Text to continue as it is, without a chat template, instead of messages."""
    model: str
    sampling: Sampling
    constraint: Constraint
    tools: Sequence[Tool]
    tool_choice: ToolChoice
    template_arguments: Mapping[str, JSON]
    """Of the model's chat template, such as enable_thinking; only with messages."""
    grounding: Grounding | str
    """Where to answer from; a text names the collection."""
    session_id: str
    """Puts the session's history first, and stores the exchange in it at the end."""
    subject: str
    """Brings in what is remembered of them; without it, of the session's subject."""
    request_id: str
    priority: int
    """Lower runs first."""
    cache: CachePolicy
    """Whether the answer may be one that was made before; by default, as the server says."""
    timeout: float | None
    """Seconds; None: the client's `generation_timeout`."""


def generate(messages: Input | None = None, **options: Unpack[GenerateOptions]) -> Stream:
    """Stream an answer: iterate over the result for its events.

    ``messages`` is what the user says, or a whole chat. See :class:`GenerateOptions` for
    the rest. Leaving the loop ends the request on the server; in a session an answer that
    has begun is finished and stored there, unless it is aborted by its ``request_id``, or the
    server is set otherwise. gRPC repeats the call while the server is unavailable and nothing
    has arrived; never after that.
    """
    return Stream(request(messages, options), options.get("timeout"))


def complete(
    messages: Input | None = None, **options: Unpack[GenerateOptions]
) -> Unary[results.Completion]:
    """Give a whole answer at once.

    Takes what ``generate`` takes. It is not repeated after a failure: with a session, the
    exchange may have been stored.
    """
    return call(
        "GenerateService/Complete",
        generate_service_pb2.CompleteRequest(request=request(messages, options)),
        generate_service_pb2.CompleteResponse,
        results.completion,
        options.get("timeout"),
        generates=True,
    )


def count_tokens(
    content: Input,
    *,
    model: str = "",
    tools: Sequence[Tool] = (),
    template_arguments: Mapping[str, JSON] | None = None,
    timeout: float | None = None,
) -> Unary[results.TokenCount]:
    """Count tokens: of a text as it is, or of messages under the model's chat template.

    That is given ``tools`` and ``template_arguments`` as ``generate`` gives them.
    """
    message = generate_service_pb2.CountTokensRequest(model=model)
    if isinstance(content, str):
        message.text = content
    else:
        message.chat.CopyFrom(_chat(content, template_arguments or {}))
    message.tools.extend(map(_tool, tools))
    return call(
        "GenerateService/CountTokens",
        message,
        generate_service_pb2.CountTokensResponse,
        results.token_count,
        timeout,
    )


def request(
    messages: Input | None, options: GenerateOptions
) -> generate_service_pb2.GenerateRequest:
    """The message for a generation."""
    require_known(options, GenerateOptions)
    prompt = options.get("prompt")
    if (prompt is None) == (messages is None):
        raise ValueError("Give messages or a prompt, and not both.")
    grounding = options.get("grounding")
    constraint = options.get("constraint")
    message = made(
        generate_service_pb2.GenerateRequest,
        request_id=options.get("request_id", ""),
        model=options.get("model", ""),
        sampling=_sampling(options.get("sampling", Sampling())),
        constraint=None if constraint is None else constraint_message(constraint),
        tools=[_tool(tool) for tool in options.get("tools", ())],
        tool_choice=_tool_choice(options["tool_choice"]) if "tool_choice" in options else None,
        grounding=_grounding(grounding) if grounding else None,
        session_id=options.get("session_id", ""),
        priority=options.get("priority", 0),
        cache=enum_number(generation_pb2.CachePolicy.DESCRIPTOR, options.get("cache")),
        subject=options.get("subject", ""),
    )
    arguments = options.get("template_arguments", {})
    if messages is not None:
        message.chat.CopyFrom(_chat(messages, arguments))
    elif arguments:
        raise ValueError("A prompt has no template: give template_arguments with messages.")
    if prompt is not None:
        message.prompt = prompt
    return message


def message(item: Message) -> generation_pb2.Message:
    """One message of a chat."""
    return generation_pb2.Message(
        role=enum_number(generation_pb2.Role.DESCRIPTOR, item.role),
        content=item.content,
        tool_calls=[
            generation_pb2.ToolCall(id=made.id, name=made.name, arguments=made.arguments)
            for made in item.tool_calls
        ],
        name=item.name,
    )


def _chat(messages: Input, arguments: Mapping[str, JSON]) -> generation_pb2.Chat:
    if isinstance(messages, str):
        messages = (Message("user", messages),)
    return generation_pb2.Chat(
        messages=[message(item) for item in messages],
        template_arguments=to_struct(arguments) if arguments else None,
    )


def _sampling(sampling: Sampling) -> generation_pb2.SamplingParameters:
    return made(
        generation_pb2.SamplingParameters,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        max_tokens=sampling.max_tokens,
        seed=sampling.seed,
        stop=sampling.stop,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty,
        n=sampling.n,
        logprobs=sampling.logprobs,
    )


def _tool(tool: Tool) -> generation_pb2.Tool:
    return generation_pb2.Tool(
        name=tool.name, description=tool.description, parameters=to_struct(tool.parameters)
    )


def _tool_choice(choice: ToolChoice) -> generation_pb2.ToolChoice:
    if isinstance(choice, Tool):
        return generation_pb2.ToolChoice(name=choice.name)
    mode = enum_number(generation_pb2.ToolChoiceMode.DESCRIPTOR, choice)
    return generation_pb2.ToolChoice(mode=mode)


def _grounding(grounding: Grounding | str) -> generation_pb2.Grounding:
    if isinstance(grounding, str):
        return generation_pb2.Grounding(collection=grounding)
    mode = enum_number(SearchMode.DESCRIPTOR, grounding.mode)
    return made(
        generation_pb2.Grounding,
        collection=grounding.collection,
        top_k=grounding.top_k,
        mode=mode,
        filter=grounding.filter,
        min_score=grounding.min_score,
        query=grounding.query,
        require_sources=grounding.require_sources,
    )
