"""Models that generate text: settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from groundwire_server.model_settings import (
    Dialect,
    ModelSettings,
    RouteSettings,
    Seconds,
    checked_api_key,
    checked_url,
)

EXTRACTIVE = "extractive"
_NAME = re.compile(r"\S{1,256}")


class GenerationSettings(BaseModel):
    """The models, and what each of them is given to do."""

    default_model: str = Field(
        default="",
        description="Model or route of requests that name none; empty: vllm_model, openai_model, "
        "the last of models, or extractive.",
    )
    models: dict[str, ModelSettings] = Field(
        default_factory=dict,
        description='Models by name, as JSON, e.g. {"chat": {"preset": "phi-3-mini"}} '
        "(docs/models.md).",
    )
    routes: dict[str, RouteSettings] = Field(
        default_factory=dict,
        description='Names that several models answer to, as JSON, e.g. {"live": {"weights": '
        '{"a": 95, "b": 5}, "fallbacks": ["c"]}} (docs/models.md).',
    )
    last_resort: Literal["extractive", "off"] = Field(
        default="extractive",
        description="What answers grounded questions when every model of a route is down.",
    )
    breaker_failures: int = Field(
        default=5, ge=1, description="Failures in a row after which a model is left alone."
    )
    breaker_open_s: Seconds = Field(
        default=5.0, gt=0, description="Seconds for which it is, before one request tries it."
    )
    vllm_model: str = Field(
        default="", description="Folder or hub name of the model that vLLM serves; empty: no vLLM."
    )
    vllm_name: str = Field(
        default="", description="Name that requests use for it; empty: the last part of vllm_model."
    )
    vllm_args: dict[str, Any] = Field(
        default_factory=dict,
        description='Further engine arguments of vLLM as JSON, e.g. {"max_model_len": 8192}.',
    )
    vllm_tool_parser: str = Field(
        default="",
        description="vLLM's parser for the calls of tools that the model writes, e.g. hermes.",
    )
    vllm_reasoning_parser: str = Field(
        default="", description="vLLM's parser for the reasoning that the model writes, e.g. qwen3."
    )
    vllm_template_arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="What its chat template is given where a request does not say otherwise, as "
        'JSON, e.g. {"enable_thinking": false}.',
    )
    vllm_adapters: dict[str, str] = Field(
        default_factory=dict,
        description="Folders of LoRA adapters by the names that requests use for them, as JSON.",
    )
    openai_url: str = Field(
        default="",
        description="OpenAI-compatible API, e.g. http://HOST:8000/v1 (docs/openai.md); or empty.",
    )
    openai_model: str = Field(default="", description="Model of openai_url, as it is named there.")
    openai_name: str = Field(
        default="", description="Name that requests use for it; empty: openai_model."
    )
    openai_api_key: str = Field(
        default="", description="Key that openai_url asks for; empty: none is sent."
    )
    openai_dialect: Dialect = Field(
        default="auto",
        description="Whether openai_url takes what only vLLM has; auto: if it says it is vLLM.",
    )
    openai_context_length: int = Field(
        default=0, ge=0, description="Tokens that openai_model reads; 0: what openai_url says."
    )
    openai_template_arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="As vllm_template_arguments, sent to openai_url as chat_template_kwargs.",
    )
    openai_silence_s: Seconds = Field(
        default=300.0,
        gt=0,
        description="Seconds after which an answer of openai_url that stands still is given up.",
    )
    openai_check_period_s: Seconds = Field(
        default=1.0,
        description="Seconds for which a health check of openai_url holds.",
    )
    max_tokens: int = Field(
        default=1024, ge=1, description="Tokens generated at most when a request does not say."
    )
    running_generations: int = Field(
        default=256, ge=1, description="Generations that a model works on at once; others wait."
    )
    queued_generations: int = Field(
        default=256,
        ge=0,
        description="Generations that wait for a model; one more gets RESOURCE_EXHAUSTED.",
    )
    queued_tokens: int = Field(
        default=2**20, ge=1, description="Prompt tokens that wait for a model, at most."
    )

    @field_validator("openai_url")
    @classmethod
    def _check_openai_url(cls, value: str) -> str:
        return checked_url(value)

    @field_validator("openai_api_key")
    @classmethod
    def _check_openai_api_key(cls, value: str) -> str:
        return checked_api_key(value)

    @model_validator(mode="after")
    def _check_openai(self) -> Self:
        if self.openai_url and not self.openai_model:
            raise ValueError("openai_model is needed with openai_url")
        if not self.openai_url and (self.openai_model or self.openai_api_key):
            raise ValueError("openai_model and openai_api_key are only for an openai_url")
        return self

    @property
    def all_models(self) -> Mapping[str, ModelSettings]:
        """Every model by its name: of `models`, and those that have settings of their own."""
        return {**self.models, **dict(self._single_models())}

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        taken = [EXTRACTIVE]
        for setting, name in (
            *(("a key of models", name) for name in self.models),
            *((f"{model.engine}_name", name) for name, model in self._single_models()),
            *(("a key of adapters", name) for name in self._adapters()),
            *(("a key of routes", name) for name in self.routes),
        ):
            if name in taken:
                raise ValueError(
                    f'{setting} must not be "{name}": another model or route has this name'
                )
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f'{setting} must not be "{name}": 1 to 256 characters, no white space'
                )
            taken.append(name)
        models = {EXTRACTIVE, *self.all_models, *self._adapters()}
        for name, route in self.routes.items():
            for model in (*route.weights, *route.fallbacks):
                if model not in models:
                    raise ValueError(
                        f'routes: "{name}" leads to "{model}", which is no model; there are: '
                        f"{', '.join(sorted(models))}"
                    )
        return self

    def _adapters(self) -> Iterator[str]:
        for model in self.all_models.values():
            yield from model.adapters

    def _single_models(self) -> Iterator[tuple[str, ModelSettings]]:
        if self.openai_url:
            yield (
                self.openai_name or self.openai_model,
                ModelSettings(
                    engine="openai",
                    source=self.openai_model,
                    url=self.openai_url,
                    api_key=self.openai_api_key,
                    dialect=self.openai_dialect,
                    context_length=self.openai_context_length,
                    template_arguments=self.openai_template_arguments,
                    silence_s=self.openai_silence_s,
                    check_period_s=self.openai_check_period_s,
                ),
            )
        if self.vllm_model:
            yield (
                self.vllm_name or self.vllm_model.rstrip("/").rpartition("/")[2],
                ModelSettings(
                    source=self.vllm_model,
                    args=self.vllm_args,
                    tool_parser=self.vllm_tool_parser,
                    reasoning_parser=self.vllm_reasoning_parser,
                    template_arguments=self.vllm_template_arguments,
                    adapters=self.vllm_adapters,
                ),
            )
