"""What a server of the OpenAI API refuses or fails with, as errors of ours."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from groundwire_index.errors import (
    FailedPreconditionError,
    GroundwireError,
    InvalidArgumentError,
    LimitExceededError,
    ResourceExhaustedError,
    UnavailableError,
    UnsupportedError,
)

from groundwire_server.engines.engine import Sampling

_SAMPLING = {field.name for field in dataclasses.fields(Sampling)}
# The API has a code for it, which few servers send; these are their words.
_TOO_LONG = ("context_length_exceeded", "maximum context length", "context size", "context window")
_FIELDS = {
    "messages": "chat.messages",
    "prompt": "prompt",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "response_format": "constraint",
    "structured_outputs": "constraint",
}
_NO_QUOTA = "insufficient_quota"
_LONGEST_MESSAGE = 500


class BrokenError(UnavailableError):
    """The server failed in a way that the next try may not."""

    def __init__(self, message: str, *, pause_s: float = 0.0, status: int = 0) -> None:
        """``pause_s`` is how long the server asked to be left alone.

        ``status`` is what it answered; 0 if it did not.
        """
        super().__init__(message, reason="REMOTE_UNAVAILABLE", retry_after_s=max(pause_s, 1.0))
        self.pause_s = pause_s
        self.status = status


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """What a server says of an error, in an answer or in the midst of a stream."""

    status: int
    message: str
    code: str = ""
    param: str = ""
    retry_after_s: float | None = None

    @classmethod
    def read(cls, status: int, body: bytes, headers: Mapping[str, str]) -> Refusal:
        """Read an answer that is an error, in whatever form."""
        try:
            told = json.loads(body)
        except ValueError:
            told = body.decode("utf-8", "replace")
        return dataclasses.replace(
            cls.told(told, status), retry_after_s=_seconds(headers.get("Retry-After", ""))
        )

    @classmethod
    def told(cls, told: Any, status: int = 0) -> Refusal:
        """Read the JSON of an error; ``status`` is found in it if it is not given."""
        error = told.get("error", told.get("detail", told)) if isinstance(told, dict) else told
        if not isinstance(error, dict):
            return cls(status or 500, _clipped(error))
        code = error.get("code") or ""
        found = code if isinstance(code, int) else 500
        message = _clipped(error.get("message", error))
        return cls(status or found, message, str(code), str(error.get("param") or ""))


def error_of(refusal: Refusal, where: str, settings: str = "openai") -> GroundwireError:
    """The error for a request that the server at ``where`` refused, or failed at.

    ``settings`` begins the names of those that say where it is.
    """
    said = f"{where} answered {refusal.status}: {refusal.message}"
    if _is_too_long(refusal):
        return LimitExceededError(said, reason="PROMPT_TOO_LONG")
    if refusal.status in (400, 422):
        return InvalidArgumentError(_field(refusal.param), said)
    if refusal.status in (401, 403):
        # Its words may quote the key.
        return FailedPreconditionError(
            f"{where} answered {refusal.status}: it wants another {settings}_api_key",
            reason="REMOTE_KEY_REFUSED",
        )
    if refusal.status == 404:
        return FailedPreconditionError(
            f"{said}. {settings}_model must be a model that it has, and {settings}_url the address "
            "of its API, which most often ends with /v1",
            reason="REMOTE_NOT_FOUND",
        )
    if refusal.status == 429:
        return _exhausted(refusal, said)
    if refusal.status in (405, 501):
        return UnsupportedError(said)
    if refusal.status >= 500 or refusal.status in (408, 425):
        return BrokenError(said, pause_s=refusal.retry_after_s or 0.0, status=refusal.status)
    return FailedPreconditionError(f"{said}. See {settings}_url", reason="REMOTE_REFUSED")


def _exhausted(refusal: Refusal, said: str) -> ResourceExhaustedError:
    if refusal.code == _NO_QUOTA:
        return ResourceExhaustedError(said, reason="REMOTE_QUOTA", retry_after_s=None)
    after = 1.0 if refusal.retry_after_s is None else refusal.retry_after_s
    return ResourceExhaustedError(said, reason="REMOTE_BUSY", retry_after_s=after)


def _is_too_long(refusal: Refusal) -> bool:
    words = f"{refusal.code} {refusal.message}".lower()
    return refusal.status == 413 or (
        refusal.status in (400, 422) and any(each in words for each in _TOO_LONG)
    )


def _field(param: str) -> str:
    """The field of a request that a parameter of the API is made from."""
    if param in _SAMPLING:
        return f"sampling.{param}"
    if param == "top_logprobs":
        return "sampling.logprobs"
    return _FIELDS.get(param, "request")


def _seconds(retry_after: str) -> float | None:
    """Seconds of a Retry-After header; None for none, and for a date, which no such API sends."""
    return float(retry_after) if retry_after.replace(".", "", 1).isdecimal() else None


def _clipped(message: Any) -> str:
    text = message if isinstance(message, str) else json.dumps(message)
    text = " ".join(text.split()).rstrip(" .")
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"
