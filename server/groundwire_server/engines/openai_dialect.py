"""What servers of the OpenAI API have beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Dialect:
    """The fields and endpoints that one kind of server adds to the API."""

    sampling: frozenset[str] = frozenset()
    """Fields of `Sampling` that the API lacks."""
    forms: frozenset[str] = frozenset()
    """Forms of `Constraint` that it takes beyond schemas for chats, and also for prompts."""
    takes_template_arguments: bool = False
    """Whether requests may give arguments to the chat template."""
    stream_options: Mapping[str, Any] = field(default_factory=dict)
    counts_pieces: bool = False
    """Whether each event of a stream says how many tokens its choice has by then."""
    tokenize: str = ""
    """Path that counts tokens, from the root of the server; empty if there is none."""
    truncation: Mapping[str, Any] = field(default_factory=dict)
    """What an embedding model is told to read only the beginning of texts that are too long."""
    health: str = ""
    """Path that answers 200 while the model can, from the root; empty if there is none."""


OPENAI = Dialect()
VLLM = Dialect(
    sampling=frozenset({"top_k", "min_p", "repetition_penalty"}),
    forms=frozenset({"json_schema", "regex", "grammar", "choice"}),
    takes_template_arguments=True,
    stream_options={"continuous_usage_stats": True},
    counts_pieces=True,
    tokenize="/tokenize",
    truncation={"truncate_prompt_tokens": -1, "truncation_side": "right"},
    health="/health",
)

AUTO = "auto"
DIALECTS: Mapping[str, Dialect] = {"openai": OPENAI, "vllm": VLLM}


def dialect_of(setting: str, owner: str) -> Dialect:
    """The dialect that is set; with "auto" that of whom the server names as the model's owner."""
    return DIALECTS.get(owner if setting == AUTO else setting, OPENAI)
