"""Where the server lives, what it says, and what it takes: settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from groundwire_server.addresses import Address
from groundwire_server.model_settings import Seconds, checked_url

NO_METRICS = "off"


class ProcessSettings(BaseModel):
    """The process, and the calls that it takes."""

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

    @field_validator("data_dir", "ready_file")
    @classmethod
    def _expand_home(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()

    @field_validator("trace_endpoint")
    @classmethod
    def _check_trace_endpoint(cls, value: str) -> str:
        if urlsplit(checked_url(value)).path.strip("/"):
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT alone")
        return value
