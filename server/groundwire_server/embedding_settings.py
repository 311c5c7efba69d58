"""The embedder, and what is embedded: settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from groundwire_server.model_settings import Seconds, checked_api_key, checked_url


class EmbeddingSettings(BaseModel):
    """The embedder, chunks of documents, and passages of prompts."""

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

    @field_validator("embedder_url")
    @classmethod
    def _check_embedder_url(cls, value: str) -> str:
        return checked_url(value)

    @field_validator("embedder_api_key")
    @classmethod
    def _check_embedder_api_key(cls, value: str) -> str:
        return checked_api_key(value)

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
    def _check_overlap(self) -> Self:
        if self.chunk_overlap_tokens >= self.chunk_tokens:
            raise ValueError(
                f"chunk_overlap_tokens ({self.chunk_overlap_tokens}) must be less than "
                f"chunk_tokens ({self.chunk_tokens})"
            )
        return self
