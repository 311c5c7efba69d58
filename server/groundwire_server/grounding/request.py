"""What is asked: one generation, optionally grounded and in a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from groundwire_index.filters import Filter
from groundwire_index.records import JsonValue, SearchMode

from groundwire_server.engines.engine import Constraint, Message, Sampling
from groundwire_server.engines.template import TemplateInput
from groundwire_server.engines.tools import ToolUse


class CachePolicy(Enum):
    """Whether an answer may be kept, and whom it may be given to again."""

    OFF = "off"
    EXACT = "exact"
    """Equal requests."""
    SEMANTIC = "semantic"
    """Also requests that ask the same in slightly different words."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """Where the passages of a grounded answer come from."""

    collection: str
    top_k: int = 5
    mode: SearchMode | None = None
    """How passages are ranked; None for what the index ranks texts by."""
    filter: Filter | None = None
    min_score: float | None = None
    query: str = ""
    """What to search for; made from the conversation if empty."""
    require_sources: bool = False
    """No text at all unless a passage supports it."""


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """One answer to give. Exactly one of ``prompt`` and ``messages`` is set.

    With grounding, a session or a subject a ``prompt`` is asked as a user message.
    """

    request_id: str
    prompt: str | None = None
    messages: tuple[Message, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    grounding: Grounding | None = None
    session_id: str = ""
    subject: str = ""
    """Whose memories matter; empty: those of the session's subject, if there is a session."""
    constraint: Constraint | None = None
    tools: ToolUse | None = None
    """Only with ``messages``, and not with a constraint, grounding or a session."""
    template_arguments: Mapping[str, JsonValue] = field(default_factory=dict)
    """Of the model's chat template, over those of the settings; only with ``messages``."""
    priority: int = 0
    deadline: float | None = None
    """When to stop, on the event loop's clock; None for no limit."""
    cache: CachePolicy | None = None
    """None: as the server does it."""

    @property
    def template(self) -> TemplateInput:
        """What the chat template is given besides the messages."""
        return TemplateInput(self.tools.tools if self.tools else (), self.template_arguments)

    @property
    def may_be_kept(self) -> bool:
        """Whether the answer is one that could be given again.

        One that may rest on what is remembered of someone is not: that can be forgotten for good.
        One with alternatives to each token is too large.
        """
        is_personal = self.session_id or self.subject
        return not is_personal and self.sampling.logprobs is None
