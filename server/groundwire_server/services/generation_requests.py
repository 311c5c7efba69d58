"""Requests for text on the wire: every field checked before any work."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence

from groundwire.v1 import generate_service_pb2, generation_pb2, retrieve_service_pb2
from groundwire_index.errors import InvalidArgumentError
from groundwire_index.records import SearchMode

from groundwire_server.engines.engine import Constraint, Message, Role, Sampling
from groundwire_server.grounding.request import AnswerRequest, CachePolicy, Grounding
from groundwire_server.services.enums import enum_of
from groundwire_server.services.filters import filter_of
from groundwire_server.services.generation_constraint import constraint_of
from groundwire_server.services.generation_messages import chat_of
from groundwire_server.services.generation_sampling import sampling_of
from groundwire_server.services.generation_template import template_arguments_of
from groundwire_server.services.generation_tools import tools_of
from groundwire_server.services.sessions import require_session_id
from groundwire_server.services.validate import (
    require,
    require_bytes,
    require_id,
    require_name,
    require_range,
    require_text,
)

MAX_REQUEST_ID_BYTES = 128
MAX_PASSAGES = 100
DEFAULT_PASSAGES = 5

_MODES: dict[int, SearchMode | None] = {
    retrieve_service_pb2.SEARCH_MODE_UNSPECIFIED: None,
    retrieve_service_pb2.SEARCH_MODE_DENSE: SearchMode.DENSE,
    retrieve_service_pb2.SEARCH_MODE_LEXICAL: SearchMode.LEXICAL,
    retrieve_service_pb2.SEARCH_MODE_HYBRID: SearchMode.HYBRID,
}
_POLICIES: dict[int, CachePolicy | None] = {
    generation_pb2.CACHE_POLICY_UNSPECIFIED: None,
    generation_pb2.CACHE_POLICY_OFF: CachePolicy.OFF,
    generation_pb2.CACHE_POLICY_EXACT: CachePolicy.EXACT,
    generation_pb2.CACHE_POLICY_SEMANTIC: CachePolicy.SEMANTIC,
}


def answer_request_of(message: generate_service_pb2.GenerateRequest) -> AnswerRequest:
    """Read a request.

    Raises InvalidArgumentError for a field that is wrong.
    """
    messages = _messages_of(message)
    sampling = sampling_of(message.sampling, "sampling")
    _check_session(message.session_id, messages, sampling)
    request = AnswerRequest(
        request_id=_request_id_of(message.request_id),
        prompt=message.prompt if message.HasField("prompt") else None,
        messages=messages,
        sampling=sampling,
        grounding=_grounding_of(message.grounding) if message.HasField("grounding") else None,
        session_id=message.session_id,
        subject=message.subject,
        constraint=_constraint_of(message),
        tools=tools_of(message),
        template_arguments=template_arguments_of(message.chat, "chat"),
        priority=message.priority,
        cache=enum_of(message.cache, _POLICIES, "cache"),
    )
    if message.subject:
        require_id(message.subject, "subject")
    require(
        not (request.grounding or request.subject)
        or not messages
        or bool(request.session_id)
        or Role.USER in _roles(messages),
        "chat.messages",
        "must hold a user message to ground an answer to, or to recall memories for",
    )
    require(
        request.cache in (None, CachePolicy.OFF) or request.may_be_kept,
        "cache",
        "must be CACHE_POLICY_OFF, or left out, with session_id, subject and sampling.logprobs",
    )
    return request


def _messages_of(message: generate_service_pb2.GenerateRequest) -> tuple[Message, ...]:
    match message.WhichOneof("input"):
        case "prompt":
            require_text(message.prompt, "prompt")
            return ()
        case "chat":
            return chat_of(message.chat, "chat", goes_on=bool(message.session_id))
    raise InvalidArgumentError("input", "set prompt or chat")


def _request_id_of(given: str) -> str:
    if not given:
        return uuid.uuid4().hex
    require_bytes(given, "request_id", max_bytes=MAX_REQUEST_ID_BYTES)
    require_id(given, "request_id")
    return given


def _check_session(session_id: str, messages: Sequence[Message], sampling: Sampling) -> None:
    if not session_id:
        return
    require_session_id(session_id)
    # The session brings what was said before: the chat has a system message besides, or none.
    spoken = [role for role in _roles(messages) if role is not Role.SYSTEM]
    require(
        not messages or spoken == [Role.USER] or set(spoken) == {Role.TOOL},
        "chat.messages",
        "with session_id there must be one user message, or the results of the calls that the "
        "session's last turn made, and nothing before but a system message: the session holds the "
        "rest",
    )
    require(
        sampling.n == 1,
        "sampling.n",
        "must be 1 with session_id: a session keeps one answer to each question",
    )


def _grounding_of(message: generation_pb2.Grounding) -> Grounding:
    require_name(message.collection, "grounding.collection")
    if message.HasField("top_k"):
        require_range(message.top_k, "grounding.top_k", low=1, high=MAX_PASSAGES)
    require(not math.isnan(message.min_score), "grounding.min_score", "must be a number")
    if message.query:
        require_text(message.query, "grounding.query")
    return Grounding(
        collection=message.collection,
        top_k=message.top_k if message.HasField("top_k") else DEFAULT_PASSAGES,
        mode=enum_of(message.mode, _MODES, "grounding.mode"),
        filter=filter_of(message.filter, "grounding.filter")
        if message.HasField("filter")
        else None,
        min_score=message.min_score if message.HasField("min_score") else None,
        query=message.query,
        require_sources=message.require_sources,
    )


def _constraint_of(message: generate_service_pb2.GenerateRequest) -> Constraint | None:
    if not message.HasField("constraint"):
        return None
    require(
        not message.tools and not _demands_tool(message.tool_choice),
        "constraint",
        "cannot go with tools, whose calls have a form of their own: leave out one of them",
    )
    require(
        not message.HasField("grounding"),
        "constraint",
        "cannot go with grounding, which takes citations that do not hold out of the text: "
        "search first, and put the passages into the chat",
    )
    return constraint_of(message.constraint, "constraint")


def _demands_tool(choice: generation_pb2.ToolChoice) -> bool:
    return bool(choice.name) or choice.mode == generation_pb2.TOOL_CHOICE_MODE_REQUIRED


def _roles(messages: Sequence[Message]) -> list[Role]:
    return [message.role for message in messages]
