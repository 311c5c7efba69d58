"""Functions that a model may call, and the calls that it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from groundwire_index.records import JsonValue


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    """JSON schema of the arguments; empty for a function without any."""

    @property
    def schema(self) -> Mapping[str, JsonValue]:
        """A schema that admits objects only."""
        return {"type": "object", "properties": {}, **self.parameters}


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools of a request, and whether the model must call them."""

    tools: tuple[Tool, ...]
    """At least one, with different names."""
    required: bool = False
    """The answer is one or more calls."""
    name: str = ""
    """The answer is one call of this tool."""

    @property
    def is_forced(self) -> bool:
        """Whether the answer is calls and nothing else."""
        return self.required or bool(self.name)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that an assistant message of a chat made; ``arguments`` is a JSON object."""

    id: str
    name: str
    arguments: str

    @property
    def texts(self) -> tuple[str, str]:
        """All that a model reads of it, but for the id."""
        return self.name, self.arguments
