"""What a chat template is given besides the messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from groundwire_index.records import JsonValue

from groundwire_server.engines.tools import Tool


@dataclass(frozen=True, slots=True)
class TemplateInput:
    """All that a template writes into a prompt, but for the messages."""

    tools: tuple[Tool, ...] = ()
    arguments: Mapping[str, JsonValue] = field(default_factory=dict)
    """By names that the template knows, such as ``enable_thinking``; it ignores others."""

    def over(self, defaults: Mapping[str, JsonValue]) -> TemplateInput:
        """The same, with the default for every argument that it does not have."""
        return replace(self, arguments={**defaults, **self.arguments}) if defaults else self


NOTHING_BESIDES = TemplateInput()
