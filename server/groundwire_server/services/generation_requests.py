"""Requests for text on the wire: every field checked before any work."""

from __future__ import annotations

import math
import re
import uuid

from groundwire.v1 import generate_service_pb2, generation_pb2, retrieve_service_pb2
from groundwire_index.errors import InvalidArgumentError, UnsupportedError
from groundwire_index.records import SearchMode

from groundwire_server.engines.engine import Message, Role, Sampling
from groundwire_server.grounding.request import AnswerRequest, Grounding
from groundwire_server.services.filters import filter_of
from groundwire_server.services.generation_messages import chat_of
from groundwire_server.services.generation_sampling import sampling_of
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

_SESSION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MODES: dict[int, SearchMode] = {
    retrieve_service_pb2.SEARCH_MODE_UNSPECIFIED: SearchMode.HYBRID,
    retrieve_service_pb2.SEARCH_MODE_DENSE: SearchMode.DENSE,
    retrieve_service_pb2.SEARCH_MODE_LEXICAL: SearchMode.LEXICAL,
    retrieve_service_pb2.SEARCH_MODE_HYBRID: SearchMode.HYBRID,
}


def answer_request_of(
    message: generate_service_pb2.GenerateRequest, prefix: str = ""
) -> AnswerRequest:
    """Read a request; ``prefix`` goes before the paths of its fields in errors.

    Raises InvalidArgumentError for a field that is wrong, UnsupportedError for a part of the
    contract that no engine here can do.
    """
    return _Reader(message, prefix).read()


class _Reader:
    """Reads one request, knowing where it stands in what the client sent."""

    def __init__(self, message: generate_service_pb2.GenerateRequest, prefix: str) -> None:
        self._message = message
        self._prefix = prefix

    def read(self) -> AnswerRequest:
        message = self._message
        messages = self._messages()
        sampling = sampling_of(message.sampling, self._at("sampling"))
        request = AnswerRequest(
            request_id=self._request_id(),
            prompt=message.prompt if message.HasField("prompt") else None,
            messages=messages,
            sampling=sampling,
            grounding=self._grounding(messages),
            session_id=self._session_id(messages, sampling),
            priority=message.priority,
        )
        self._refuse_unsupported()
        return request

    def _at(self, field: str) -> str:
        return f"{self._prefix}{field}"

    def _request_id(self) -> str:
        given = self._message.request_id
        if not given:
            return uuid.uuid4().hex
        require_bytes(given, self._at("request_id"), max_bytes=MAX_REQUEST_ID_BYTES)
        require_id(given, self._at("request_id"))
        return given

    def _messages(self) -> tuple[Message, ...]:
        match self._message.WhichOneof("input"):
            case "prompt":
                require_text(self._message.prompt, self._at("prompt"))
                return ()
            case "chat":
                return chat_of(self._message.chat, self._at("chat"))
        raise InvalidArgumentError(self._at("input"), "set prompt or chat")

    def _session_id(self, messages: tuple[Message, ...], sampling: Sampling) -> str:
        given = self._message.session_id
        if not given:
            return ""
        require(
            _SESSION_ID.fullmatch(given) is not None,
            self._at("session_id"),
            "must be 1 to 128 characters of [A-Za-z0-9._:-]",
        )
        # The session brings what was said before, so all the chat has besides is a system
        # message.
        spoken = [message.role for message in messages if message.role is not Role.SYSTEM]
        require(
            not messages or spoken == [Role.USER],
            self._at("chat.messages"),
            "with session_id there must be exactly one user message, and none before it but a "
            "system message: the session holds the rest",
        )
        require(
            sampling.n == 1,
            self._at("sampling.n"),
            "must be 1 with session_id: a session keeps one answer to each question",
        )
        return given

    def _grounding(self, messages: tuple[Message, ...]) -> Grounding | None:
        if not self._message.HasField("grounding"):
            return None
        require(
            not messages or any(message.role is Role.USER for message in messages),
            self._at("chat.messages"),
            "must hold a user message to ground an answer to",
        )
        return grounding_of(self._message.grounding, self._at("grounding"))

    def _refuse_unsupported(self) -> None:
        message = self._message
        if message.HasField("constraint"):
            require(
                message.constraint.WhichOneof("form") is not None,
                self._at("constraint"),
                "set one of json_schema, regex, grammar, choice",
            )
            raise UnsupportedError(
                f"{self._at('constraint')}: this server cannot constrain the output yet; ask for "
                "the form in the prompt",
                reason="CONSTRAINT_UNSUPPORTED",
            )
        if message.tools or _demands_tool(message.tool_choice):
            raise UnsupportedError(
                f"{self._at('tools' if message.tools else 'tool_choice')}: this server cannot "
                "call tools yet; leave it out",
                reason="TOOLS_UNSUPPORTED",
            )


def grounding_of(message: generation_pb2.Grounding, field: str) -> Grounding:
    """Read where the passages come from. Raises InvalidArgumentError."""
    require_name(message.collection, f"{field}.collection")
    mode = _MODES.get(message.mode)
    if mode is None:
        raise InvalidArgumentError(
            f"{field}.mode", f"{message.mode} is no SearchMode that this server knows"
        )
    if message.HasField("top_k"):
        require_range(message.top_k, f"{field}.top_k", low=1, high=MAX_PASSAGES)
    if message.HasField("min_score"):
        require(not math.isnan(message.min_score), f"{field}.min_score", "must be a number")
    if message.query:
        require_text(message.query, f"{field}.query")
    return Grounding(
        collection=message.collection,
        top_k=message.top_k if message.HasField("top_k") else DEFAULT_PASSAGES,
        mode=mode,
        filter=filter_of(message.filter, f"{field}.filter") if message.HasField("filter") else None,
        min_score=message.min_score if message.HasField("min_score") else None,
        query=message.query,
        require_sources=message.require_sources,
    )


def _demands_tool(choice: generation_pb2.ToolChoice) -> bool:
    return bool(choice.name) or choice.mode == generation_pb2.TOOL_CHOICE_MODE_REQUIRED
