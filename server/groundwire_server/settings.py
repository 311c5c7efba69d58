"""Every knob of the server: typed, with the sentence that `groundwire settings` prints.

A value comes from the first of these that has one: a flag (``--data-dir``), the environment
(``GROUNDWIRE_DATA_DIR``), the TOML file named by ``--config`` or ``GROUNDWIRE_CONFIG``
(``data_dir = "..."``), the default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Settings(BaseSettings):
    """The server's settings."""

    model_config = SettingsConfigDict(
        env_prefix="GROUNDWIRE_", extra="forbid", frozen=True, validate_default=True
    )

    # --- where it lives ---
    listen: str = Field(
        "127.0.0.1:50051", description="HOST:PORT for gRPC; port 0 picks a free one."
    )
    data_dir: Path = Field(
        Path("groundwire-data"), description="Folder for everything that is stored."
    )
    insecure: bool = Field(
        False,
        description="Listen beyond loopback although callers are not authenticated.",
    )
    metrics_listen: str = Field(
        "127.0.0.1:9464", description='HOST:PORT for Prometheus metrics over HTTP; "off" for none.'
    )
    ready_file: Path | None = Field(
        None,
        description="File to write the bound gRPC and metrics addresses to, as JSON, once serving.",
    )

    # --- logs ---
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line that is written."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="Log lines for people or programs; auto: console on a terminal."
    )

    # --- limits of a call ---
    max_message_bytes: int = Field(
        32 * 2**20, ge=2**20, le=2**30, description="Largest gRPC message, in bytes."
    )
    max_document_bytes: int = Field(
        256 * 2**20, ge=2**10, description="Largest file that is ingested, in bytes."
    )
    max_concurrent_calls: int = Field(
        1024, ge=1, description="Calls in progress; one more gets RESOURCE_EXHAUSTED."
    )

    # --- stopping ---
    stop_delay_s: Seconds = Field(
        0.5, description="Seconds between NOT_SERVING and refusing new calls."
    )
    stop_grace_s: Seconds = Field(
        20.0, description="Seconds that calls in progress get to finish on SIGTERM."
    )

    # --- text generation ---
    default_model: str = Field(
        "",
        description='Model of requests that name none; empty: the vLLM model, else "extractive".',
    )
    vllm_model: str = Field(
        "", description="Folder or hub name of the model that vLLM serves; empty: no vLLM."
    )
    vllm_name: str = Field(
        "", description="Name that requests use for it; empty: the last part of vllm_model."
    )
    vllm_args: dict[str, Any] = Field(
        default_factory=dict,
        description='Further engine arguments of vLLM as JSON, e.g. {"max_model_len": 8192}.',
    )
    max_tokens: int = Field(
        1024, ge=1, description="Tokens generated at most when a request does not say."
    )

    # --- embedding ---
    embedder_model: str = Field(
        "all-MiniLM-L6-v2",
        description="Embedder: the built-in one, or any sentence-transformers folder or hub name.",
    )
    embedder_precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Number format of the embedder; auto: bf16 where the CPU computes it."
    )
    embedder_query_prefix: str = Field(
        "", description="Text put before each query; for models trained with one."
    )
    embedder_passage_prefix: str = Field(
        "", description="Text put before each passage; for models trained with one."
    )
    embedder_batch_tokens: int = Field(
        4096, ge=256, description="Tokens, padding included, that the embedder reads in one batch."
    )

    # --- ingest and grounding ---
    chunk_tokens: int = Field(
        192, ge=16, description="Largest chunk of an ingested document, in embedder tokens."
    )
    chunk_overlap_tokens: int = Field(
        32, ge=0, description="Tokens repeated from the end of the chunk before."
    )
    grounding_tokens: int = Field(
        2048, ge=128, description="Tokens of passages in a prompt at most."
    )

    # --- sessions ---
    redis_url: str = Field(
        "",
        description="Redis for sessions (redis://, rediss://, unix://); empty: a private one.",
    )
    redis_fsync: Literal["always", "everysec"] = Field(
        "always",
        description="When the private Redis syncs its log; everysec can lose a second of turns.",
    )
