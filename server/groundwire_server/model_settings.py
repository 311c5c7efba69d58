"""What can be said of each model, and of each name that several models answer to."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from groundwire_server.engines.presets import PRESETS

Seconds = Annotated[float, Field(ge=0, le=86_400)]
Dialect = Literal["auto", "openai", "vllm"]


# What only one engine has.
_OF_VLLM = frozenset({"preset", "args", "gpus", "tool_parser", "reasoning_parser", "adapters"})
_OF_OPENAI = frozenset(
    {"url", "api_key", "dialect", "context_length", "silence_s", "check_period_s"}
)


class ModelSettings(BaseModel):
    """One model that generates text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Literal["vllm", "openai"] = Field(
        default="vllm", description="vLLM on this machine, or a server of the OpenAI API."
    )
    preset: str = Field(
        default="", description=f"Where the rest is not said, it is as for {', '.join(PRESETS)}."
    )
    source: str = Field(
        default="",
        description="Folder or hub name; with openai, its name there. Empty: the preset's.",
    )
    args: dict[str, Any] = Field(
        default_factory=dict, description="Engine arguments of vLLM, over the preset's."
    )
    gpus: str = Field(
        default="",
        pattern=r"^(\d+(,\d+)*)?$",
        description="CUDA numbers of the GPUs that vLLM sees, such as 0,1; empty: all.",
    )
    tool_parser: str = Field(
        default="", description="With vllm: as the setting vllm_tool_parser; empty: the preset's."
    )
    reasoning_parser: str = Field(
        default="", description="With vllm: as the setting vllm_reasoning_parser."
    )
    adapters: dict[str, str] = Field(
        default_factory=dict, description="With vllm: as the setting vllm_adapters."
    )
    template_arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="What its chat template is given, where a request does not say otherwise.",
    )
    url: str = Field(default="", description="With openai: where the API is.")
    api_key: str = Field(default="", description="With openai: the key that it asks for.")
    dialect: Dialect = Field(
        default="auto", description="With openai: whether it takes what only vLLM has."
    )
    context_length: int = Field(
        default=0, ge=0, description="With openai: tokens that it reads; 0: what it says."
    )
    silence_s: Seconds = Field(
        default=300.0,
        gt=0,
        description="With openai: seconds after which an answer that stands still is given up.",
    )
    check_period_s: Seconds = Field(
        default=1.0, description="With openai: seconds for which a health check holds."
    )
    running_generations: int | None = Field(
        default=None, ge=1, description="As the setting of this name, for this model."
    )
    queued_generations: int | None = Field(
        default=None, ge=0, description="As the setting of this name, for this model."
    )
    queued_tokens: int | None = Field(
        default=None, ge=1, description="As the setting of this name, for this model."
    )
    latency_target_s: float | None = Field(
        default=None, gt=0, description="Seconds that 95 of 100 answers should take at most."
    )
    throughput_target: float | None = Field(
        default=None, gt=0, description="Answers that it should give each second."
    )

    @field_validator("preset")
    @classmethod
    def _check_preset(cls, value: str) -> str:
        if value and value not in PRESETS:
            raise ValueError(f"must be one of {', '.join(PRESETS)}, or empty")
        return value

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return checked_url(value)

    @field_validator("api_key")
    @classmethod
    def _check_api_key(cls, value: str) -> str:
        return checked_api_key(value)

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        if self.engine == "openai" and not self.url:
            raise ValueError("url is needed with engine openai")
        others = _OF_OPENAI if self.engine == "vllm" else _OF_VLLM
        if misplaced := sorted(others & self.model_fields_set):
            raise ValueError(f"{', '.join(misplaced)}: not for engine {self.engine}")
        if not self.source and not self.preset:
            raise ValueError("source is needed, or a preset")
        return self


class RouteSettings(BaseModel):
    """One name that several models answer to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        min_length=1, description="Models, and the share of sessions that each one answers."
    )
    fallbacks: tuple[str, ...] = Field(
        default=(), description="Models that answer where none of those can, in order."
    )


def checked_url(value: str) -> str:
    """The URL of an API. Raises ValueError."""
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("must start with http:// or https://, and name a host")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must hold no password, query or fragment; there is a setting for the key")
    return value


def checked_api_key(value: str) -> str:
    """A key that can be sent in a header. Raises ValueError."""
    if not all("!" <= character <= "~" for character in value):
        raise ValueError("must be printable ASCII without spaces")
    return value
