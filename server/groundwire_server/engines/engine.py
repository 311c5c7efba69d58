"""What a text engine is: five methods over plain dataclasses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import NamedTuple, Protocol

from groundwire_index.records import JsonValue

from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.engines.tools import ToolCall, ToolUse
from groundwire_server.waiting import Waiting


class Role(Enum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FinishReason(Enum):
    """Why generation ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    ABORTED = "aborted"
    NO_SOURCES = "no_sources"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Role
    content: str
    name: str = ""
    """Of the speaker; of a tool's message, the id of the call that it answers."""
    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """All that a model reads of it, but for ids: the content, and its calls."""
        return (self.content, *(part for call in self.tool_calls for part in call.texts))


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen; None means the model's default. Ranges as in the contract."""

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
    n: int = 1
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """A form that the whole output has. Exactly one field is set.

    What the texts say is checked by the engine that they are for.
    """

    json_schema: str | None = None
    """A JSON object, as text."""
    regex: str | None = None
    grammar: str | None = None
    choice: tuple[str, ...] | None = None

    @property
    def form(self) -> str:
        """The name of the field that is set."""
        return next(each.name for each in fields(self) if getattr(self, each.name) is not None)


@dataclass(frozen=True, slots=True)
class SourcePassage:
    """A numbered passage that an answer may cite."""

    number: int
    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class GroundedQuestion:
    """The question and its sources, for engines that answer from them without a prompt."""

    question: str
    passages: tuple[SourcePassage, ...]
    subject: str = ""
    """What a follow-up question is about, from the turns before it; empty for others."""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One generation. Exactly one of ``prompt`` and ``messages`` is set."""

    request_id: str
    sampling: Sampling = field(default_factory=Sampling)
    prompt: str | None = None
    messages: tuple[Message, ...] = ()
    grounded: GroundedQuestion | None = None
    constraint: Constraint | None = None
    tools: ToolUse | None = None
    """Only with ``messages``, and without ``constraint``."""
    template_arguments: Mapping[str, JsonValue] = field(default_factory=dict)
    """Of the model's chat template, over those of the engine; only with ``messages``."""
    adapter: str = ""
    """One of `Engine.adapters`; empty for the model as it is."""
    priority: int = 0
    """Lower begins first."""
    tenant: str = ""
    """Tenants take turns."""
    deadline: float | None = None
    """When nobody wants the answer any more, by the event loop's clock."""

    @property
    def template(self) -> TemplateInput:
        """What the chat template is given besides the messages."""
        return TemplateInput(self.tools.tools if self.tools else (), self.template_arguments)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Log probability (natural) of a token and of its alternatives."""

    token: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The first event: the engine takes the request, and has found nothing wrong with it."""

    prompt_tokens: int = 0
    """0 where they are not known yet."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The engine works on the request: from here on, what goes wrong ends the answer."""


class TextPiece(NamedTuple):
    """The next text of one choice. Never repeats, never splits a code point."""

    text: str
    token_count: int
    choice: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningPiece:
    """The next text of one choice's reasoning, which is not part of its answer."""

    text: str
    token_count: int
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """The next piece of one choice's call of a tool.

    Calls are numbered from 0, and the pieces of one do not come after those of the next.
    """

    index: int
    id: str
    """Set, like ``name``, in the first piece of a call only."""
    name: str
    arguments: str
    """The pieces of a call together are a JSON object, as far as the model wrote one."""
    token_count: int
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, by the engine's tokenizer."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ChoiceEnd:
    """One choice is complete."""

    finish_reason: FinishReason
    choice: int = 0


@dataclass(frozen=True, slots=True)
class GenerationEnd:
    """The last event of a generation, once, after every choice has ended."""

    usage: Usage
    queue_s: float | None = None
    """Seconds the request waited in the engine before it was scheduled."""


EngineEvent = (
    Accepted | Begun | TextPiece | ReasoningPiece | ToolCallPiece | ChoiceEnd | GenerationEnd
)


class Engine(Protocol):
    """Generates text for one model.

    Safe for any number of concurrent requests on one event loop. Every generation begins with
    one `Accepted`, before the engine works on it; what is wrong with a request is raised in its
    place. When it is asked for more, it works, and one `Begun` says so: what raises before that
    may be given to another engine. What goes wrong later is raised where it does. Closing the
    generator that ``generate`` returned (``aclose``) frees everything the request holds, at any
    point, without waiting for a further token. Raises the exceptions of `groundwire_index.errors`:
    LimitExceededError for a prompt longer than the context (before any work), UnavailableError
    when the engine is down, FailedPreconditionError and UnsupportedError for what it cannot do.
    """

    @property
    def name(self) -> str:
        """The kind of engine, e.g. "vllm"."""
        ...

    @property
    def model(self) -> str:
        """The model name that requests use."""
        ...

    @property
    def adapters(self) -> Sequence[str]:
        """Names of the adapters that requests may name in its place; known before `start`."""
        ...

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together; 0 if there is no limit."""
        ...

    @property
    def waiting(self) -> Waiting:
        """Generations whose first token is not there yet, and the tokens of their prompts."""
        ...

    async def start(self) -> None:
        """Load the model. Called once, before anything else."""
        ...

    def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        """Stream the events of one generation."""
        ...

    async def count_tokens(
        self, content: str | Sequence[Message], template: TemplateInput = NOTHING_BESIDES
    ) -> int:
        """Count the tokens of a text, or of messages under the model's chat template.

        Works from `start` to `close`, also while `check` fails. Raises InvalidArgumentError for
        messages that the template refuses.
        """
        ...

    async def check(self) -> None:
        """Raise UnavailableError if requests would fail now."""
        ...

    async def close(self) -> None:
        """Stop, ending what still runs. Idempotent."""
        ...
