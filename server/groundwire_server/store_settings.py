"""The index, caches, sessions and usage: settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from groundwire_server.memory.redis_sentinel import is_watched, watched
from groundwire_server.model_settings import Seconds
from groundwire_server.session_settings import RetentionSettings

NO_GPU = "off"
# What Redis needs for itself, and some more.
MIN_CACHE_BYTES = 8 * 2**20


class StoreSettings(BaseModel):
    """Where records, what was computed, and conversations are kept."""

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
        description="Memory for what was embedded and answered lately, in bytes, of a private "
        "Redis; 0: nothing is cached.",
    )
    cache_url: str = Field(
        default="",
        description="Redis for caches (redis://, rediss://, unix://), with a bound and an eviction "
        "policy of its own; empty: a private one.",
    )
    cache_ttl_s: Seconds = Field(
        default=86_400.0, gt=0, description="Seconds for which what is cached may be used."
    )
    cache_timeout_s: Seconds = Field(
        default=0.1,
        gt=0,
        description="Seconds after which a cache that does not answer is done without.",
    )
    answer_cache: Literal["off", "exact", "semantic"] = Field(
        default="off",
        description="Which requests that do not say get an answer that was made before: none, "
        "equal ones, or also those that ask the same in other words (docs/caching.md).",
    )
    answer_cache_floor: float = Field(
        default=0.88,
        ge=0,
        le=1,
        description="Cosine of two questions by embedder_model from which they may ask the same.",
    )

    # --- sessions ---
    redis_url: str = Field(
        default="",
        description="Redis for sessions (redis://, rediss://, unix://, or of Sentinels: "
        "redis+sentinel://HOST,HOST/SERVICE); empty: a private one.",
    )
    redis_fsync: Literal["always", "everysec"] = Field(
        default="always",
        description="When the private Redis syncs its log; everysec can lose a second of turns.",
    )
    redis_timeout_s: Seconds = Field(
        default=2.0,
        gt=0,
        description="Seconds that each step of a call waits for the Redis for sessions, which also "
        "has the usage, before the call fails.",
    )
    left_answers: Literal["finish", "drop"] = Field(
        default="finish",
        description="What becomes of an answer in a session whose client goes away after the first "
        "token: it is finished and stored, or ends at once.",
    )
    summary_after_tokens: int = Field(
        default=2000,
        ge=0,
        description="Tokens of a session's turns after which its summary is brought up to date, in "
        "the background; 0: no summaries.",
    )
    summary_model: str = Field(
        default="",
        description="Model that writes summaries; empty: the default one. With extractive, they "
        "are sentences of what was said.",
    )
    memory_extraction: Literal["off", "on"] = Field(
        default="off",
        description="Whether a model looks in the background for memories in what users say in "
        "their sessions (docs/memories.md).",
    )
    extraction_model: str = Field(
        default="", description="The model that looks; empty: the default one."
    )
    extraction_confidence: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="How sure it has to be, from 0 to 1, for a memory to be stored.",
    )
    session_retention: dict[str, RetentionSettings] = Field(
        default_factory=dict,
        description='What is kept of each tenant ("*": of those not named), as JSON, e.g. '
        '{"*": {"idle_days": 90, "sessions_per_subject": 1000}} (docs/sessions.md).',
    )
    # --- usage ---
    usage_days: int = Field(
        default=90,
        ge=0,
        le=3650,
        description="Days for which usage is kept, in the Redis of the sessions; 0: nothing is "
        "counted (docs/usage.md).",
    )
    usage_subjects: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Subjects of a tenant that usage tells apart on each day; the others are one.",
    )

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

    @field_validator("cache_bytes")
    @classmethod
    def _check_cache_bytes(cls, value: int) -> int:
        if 0 < value < MIN_CACHE_BYTES:
            raise ValueError(f"must be 0, or at least {MIN_CACHE_BYTES:,}")
        return value

    @field_validator("redis_url", "cache_url")
    @classmethod
    def _check_redis_url(cls, value: str, info: ValidationInfo) -> str:
        if info.field_name == "redis_url" and is_watched(value):
            watched(value)
        elif value and not value.startswith(("redis://", "rediss://", "unix://")):
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
