"""Every knob of the server: typed, with the sentence that `groundwire settings` prints.

A value comes from the first of these that has one: a flag (``--data-dir``), the environment
(``GROUNDWIRE_DATA_DIR``), the TOML file named by ``--config`` or ``GROUNDWIRE_CONFIG``
(``data_dir = "..."``), the default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from groundwire_server.addresses import Address
from groundwire_server.model_settings import (
    Dialect,
    ModelSettings,
    RouteSettings,
    Seconds,
    checked_api_key,
    checked_url,
)
from groundwire_server.session_settings import RetentionSettings

EXTRACTIVE = "extractive"
# What Redis needs for itself, and some more.
MIN_CACHE_BYTES = 8 * 2**20
_NAME = re.compile(r"\S{1,256}")

NO_METRICS = "off"
NO_GPU = "off"


class Settings(BaseSettings):
    """The server's settings. Made directly, it holds defaults and what it is given."""

    model_config = SettingsConfigDict(
        env_prefix="GROUNDWIRE_", extra="forbid", frozen=True, validate_default=True
    )

    # --- where it lives ---
    listen: str = Field(
        default="127.0.0.1:50051", description="HOST:PORT for gRPC; port 0 picks a free one."
    )
    data_dir: Path = Field(
        default=Path("groundwire-data"), description="Folder for everything that is stored."
    )
    insecure: bool = Field(
        default=False,
        description="Listen beyond loopback although callers are not authenticated.",
    )
    metrics_listen: str = Field(
        default="127.0.0.1:9464",
        description='HOST:PORT for Prometheus metrics over HTTP; "off" for none.',
    )
    ready_file: Path | None = Field(
        default=None,
        description="File to write the bound gRPC and metrics addresses to, as JSON, once serving.",
    )

    # --- the index ---
    index: Literal["embedded", "milvus"] = Field(
        default="embedded",
        description="Where records are kept: in data_dir, or in Milvus (docs/milvus.md).",
    )
    milvus_uri: str = Field(
        default="",
        description="Milvus (http://HOST:PORT/DATABASE), or a file FILE.db for milvus-lite.",
    )
    milvus_token: str = Field(
        default="", description="USER:PASSWORD or an API key for Milvus; empty: none is sent."
    )

    # --- logs ---
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="Log lines for people or programs; auto: console on a terminal."
    )

    # --- traces ---
    trace_endpoint: str = Field(
        default="",
        description="OpenTelemetry collector, e.g. http://HOST:4317 (docs/tracing.md); or empty.",
    )
    trace_sample_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the calls without a trace of their caller's that are traced.",
    )

    # --- limits of a call ---
    max_message_bytes: int = Field(
        default=32 * 2**20, ge=2**20, le=2**30, description="Largest gRPC message, in bytes."
    )
    max_document_bytes: int = Field(
        default=256 * 2**20, ge=2**10, description="Largest file that is ingested, in bytes."
    )
    max_concurrent_calls: int = Field(
        default=1024, ge=1, description="Calls in progress; one more gets RESOURCE_EXHAUSTED."
    )
    reader_patience_s: Seconds = Field(
        default=30.0,
        gt=0,
        description="Seconds for which a client may leave a stream unread; then it is cut off.",
    )

    # --- stopping ---
    stop_delay_s: Seconds = Field(
        default=0.5, description="Seconds between NOT_SERVING and refusing new calls."
    )
    stop_grace_s: Seconds = Field(
        default=20.0, description="Seconds that calls in progress get to finish on SIGTERM."
    )

    # --- text generation ---
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

    # --- embedding ---
    embedder_model: str = Field(
        default="all-MiniLM-L6-v2",
        description="Embedder: the built-in one, or any sentence-transformers folder or hub name.",
    )
    embedder_runtime: Literal["torch", "vllm"] = Field(
        default="torch",
        description="What runs embedder_model: torch, or vLLM, which has more models.",
    )
    embedder_vllm_args: dict[str, Any] = Field(
        default_factory=dict,
        description='Further engine arguments of that vLLM as JSON, e.g. {"max_model_len": 512}.',
    )
    embedder_precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="Number format of the embedder; auto: half where CPU or GPU compute it, "
        "else fp32 (docs/embedders.md).",
    )
    embedder_query_prefix: str = Field(
        default="", description="Text put before each query; for models trained with one."
    )
    embedder_passage_prefix: str = Field(
        default="", description="Text put before each passage; for models trained with one."
    )
    embedder_dimensions: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(),
        description="Lengths that vectors may be cut to, as JSON, e.g. [128, 256]; empty: those "
        "that the model's config.json says it was trained for.",
    )
    embedder_batch_tokens: int = Field(
        default=4096,
        ge=256,
        description="Tokens, padding included, that the embedder reads in one batch.",
    )

    embedder_url: str = Field(
        default="",
        description="OpenAI-compatible API that has embedder_model (docs/embedders.md); empty: it "
        "runs here.",
    )
    embedder_api_key: str = Field(
        default="", description="Key that embedder_url asks for; empty: none is sent."
    )
    embedder_max_tokens: int = Field(
        default=0,
        ge=0,
        description="Tokens that the model of embedder_url reads; 0: what it says, else 512.",
    )
    embedder_tokenizer: str = Field(
        default="",
        description="The tokenizer.json of the model of embedder_url, or its folder; empty: tokens "
        "are estimated.",
    )
    embedder_silence_s: Seconds = Field(
        default=60.0,
        gt=0,
        description="Seconds after which an answer of embedder_url that stands still is given up.",
    )

    # --- ingest and grounding ---
    chunk_tokens: int = Field(
        default=192, ge=16, description="Largest chunk of an ingested document, in embedder tokens."
    )
    chunk_overlap_tokens: int = Field(
        default=32, ge=0, description="Tokens repeated from the end of the chunk before."
    )
    grounding_tokens: int = Field(
        default=2048, ge=128, description="Tokens of passages in a prompt at most."
    )

    # --- index ---
    index_record_cache_bytes: int = Field(
        default=64 * 2**20,
        ge=0,
        description="Memory for records that searches found lately, in bytes, about; 0: none.",
    )
    index_gpu: str = Field(
        default="auto",
        description="GPUs that hold indexes: CUDA numbers such as 0,1; auto: all; off: none.",
    )
    index_gpu_memory_bytes: int = Field(
        default=4 * 2**30,
        ge=2**20,
        description="Memory of each GPU that copies of indexes may take, in bytes.",
    )

    # --- caches ---
    cache_bytes: int = Field(
        default=64 * 2**20,
        ge=0,
        description="Memory for what was embedded lately, in bytes, of a private Redis; 0: nothing "
        "is cached.",
    )
    cache_url: str = Field(
        default="",
        description="Redis for caches (redis://, rediss://, unix://), with a bound and an eviction "
        "policy of its own; empty: a private one.",
    )
    cache_ttl_s: Seconds = Field(
        default=86_400.0, gt=0, description="Seconds for which what is cached may be used."
    )

    # --- sessions ---
    redis_url: str = Field(
        default="",
        description="Redis for sessions (redis://, rediss://, unix://); empty: a private one.",
    )
    redis_fsync: Literal["always", "everysec"] = Field(
        default="always",
        description="When the private Redis syncs its log; everysec can lose a second of turns.",
    )
    session_retention: dict[str, RetentionSettings] = Field(
        default_factory=dict,
        description='What is kept of each tenant ("*": of those not named), as JSON, e.g. '
        '{"*": {"idle_days": 90, "sessions_per_subject": 1000}} (docs/sessions.md).',
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - these are named by the base class
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the environment to `settings_sources.load`, the one place that reads it."""
        return (init_settings,)

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        Address.parse(value)
        return value

    @field_validator("metrics_listen")
    @classmethod
    def _check_metrics_listen(cls, value: str) -> str:
        if value != NO_METRICS:
            Address.parse(value)
        return value

    @field_validator("index_gpu")
    @classmethod
    def _check_index_gpu(cls, value: str) -> str:
        numbers = value.split(",")
        named = all(number.isascii() and number.isdigit() for number in numbers)
        if value not in ("auto", NO_GPU) and not named:
            raise ValueError('must be "auto", "off", or numbers of GPUs such as "0" or "0,1"')
        if len(set(numbers)) < len(numbers):
            raise ValueError("names a GPU twice")
        return value

    @field_validator("data_dir", "ready_file")
    @classmethod
    def _expand_home(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()

    @field_validator("cache_bytes")
    @classmethod
    def _check_cache_bytes(cls, value: int) -> int:
        if 0 < value < MIN_CACHE_BYTES:
            raise ValueError(f"must be 0, or at least {MIN_CACHE_BYTES:,}")
        return value

    @field_validator("redis_url", "cache_url")
    @classmethod
    def _check_redis_url(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return value

    @field_validator("milvus_uri")
    @classmethod
    def _check_milvus_uri(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")) and not value.endswith(".db"):
            raise ValueError("must start with http:// or https://, or be a file ending with .db")
        return str(Path(value).expanduser()) if value.endswith(".db") else value

    @model_validator(mode="after")
    def _check_index(self) -> Self:
        if self.index == "milvus" and not self.milvus_uri:
            raise ValueError("milvus_uri is needed with index milvus")
        if self.index != "milvus" and (self.milvus_uri or self.milvus_token):
            raise ValueError("milvus_uri and milvus_token are only for index milvus")
        if self.index == "milvus" and self.index_gpu not in ("auto", NO_GPU):
            raise ValueError("index_gpu is only for index embedded")
        return self

    @field_validator("trace_endpoint")
    @classmethod
    def _check_trace_endpoint(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must start with http:// or https://, and name a host")
        if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT alone")
        return value

    @field_validator("openai_url", "embedder_url")
    @classmethod
    def _check_openai_url(cls, value: str) -> str:
        return checked_url(value)

    @field_validator("openai_api_key", "embedder_api_key")
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
    def _check_embedder(self) -> Self:
        remote = ("embedder_api_key", "embedder_max_tokens", "embedder_tokenizer")
        if not self.embedder_url and any(getattr(self, name) for name in remote):
            raise ValueError(f"{', '.join(remote)} are only for an embedder_url")
        here = self.embedder_runtime != "torch" or self.embedder_precision != "auto"
        if self.embedder_url and here:
            raise ValueError("embedder_runtime and embedder_precision are not for an embedder_url")
        if self.embedder_runtime != "vllm" and self.embedder_vllm_args:
            raise ValueError("embedder_vllm_args is only for embedder_runtime vllm")
        return self

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
                    adapters=self.vllm_adapters,
                ),
            )

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.chunk_overlap_tokens >= self.chunk_tokens:
            raise ValueError(
                f"chunk_overlap_tokens ({self.chunk_overlap_tokens}) must be less than "
                f"chunk_tokens ({self.chunk_tokens})"
            )
        return self
