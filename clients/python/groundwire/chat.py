"""What goes into a generation: messages, sampling, constraints, tools, grounding."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from groundwire.v1.filter_pb2 import Filter
from groundwire.values import JSON

Role: TypeAlias = Literal["system", "user", "assistant", "tool", "unspecified", "unknown"]
SearchMode: TypeAlias = Literal["dense", "lexical", "hybrid"]
CachePolicy: TypeAlias = Literal["off", "exact", "semantic"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool; ``arguments`` is a JSON object, as far as the model wrote one."""

    id: str
    name: str
    arguments: str

    @property
    def parsed(self) -> dict[str, Any]:
        """The arguments by name. Raises ValueError if they are no JSON object."""
        arguments = json.loads(self.arguments)
        if not isinstance(arguments, dict):
            raise ValueError(f"The arguments of {self.name} are no JSON object: {self.arguments}")
        return arguments

    def result(self, content: str) -> Message:
        """The message that gives the model what the tool returned."""
        return Message("tool", content, name=self.id)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat. For a tool's answer, ``name`` is the id of the call."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append to a session."""

    role: Role
    content: str
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    source_ids: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""
    """For a tool's answer, the id of the call."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; None takes the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    n: int | None = None
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Grounding:
    """Answer from the passages of a collection."""

    collection: str
    top_k: int | None = None
    mode: SearchMode | None = None
    filter: Filter | None = None
    min_score: float | None = None
    query: str = ""
    """What to search for; empty: the last user message."""
    require_sources: bool = False
    """Give no text at all if nothing supports an answer."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The output is JSON that this schema admits."""

    schema: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Regex:
    """The whole output matches this expression."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Grammar:
    """The output is in the language of this EBNF grammar."""

    ebnf: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The output is one of these."""

    options: tuple[str, ...]


Constraint: TypeAlias = JsonSchema | Regex | Grammar | Choice


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; ``parameters`` is the JSON schema of its arguments."""

    name: str
    description: str = ""
    parameters: Mapping[str, JSON] = field(default_factory=dict)


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | Tool
"""Whether the model may call tools, or the one that it must call."""
