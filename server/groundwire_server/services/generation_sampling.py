"""Sampling parameters on the wire: checked field by field."""

from __future__ import annotations

from groundwire.v1 import generation_pb2

from groundwire_server.engines.engine import Sampling
from groundwire_server.services.validate import require, require_count, require_range

MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256
MAX_CHOICES = 16
MAX_LOGPROBS = 20


def sampling_of(message: generation_pb2.SamplingParameters, field: str) -> Sampling:
    """Read sampling parameters. Raises InvalidArgumentError for one outside its range."""
    _check_probabilities(message, field)
    _check_penalties(message, field)
    _check_counts(message, field)
    return Sampling(
        temperature=_double(message, "temperature"),
        top_p=_double(message, "top_p"),
        top_k=_int(message, "top_k"),
        min_p=_double(message, "min_p"),
        max_tokens=_int(message, "max_tokens"),
        seed=_int(message, "seed"),
        stop=_stops(message, f"{field}.stop"),
        presence_penalty=_double(message, "presence_penalty"),
        frequency_penalty=_double(message, "frequency_penalty"),
        repetition_penalty=_double(message, "repetition_penalty"),
        n=message.n if message.HasField("n") else 1,
        logprobs=_int(message, "logprobs"),
    )


def _check_probabilities(message: generation_pb2.SamplingParameters, field: str) -> None:
    require_range(message.temperature, f"{field}.temperature", low=0, high=2)
    require_range(message.min_p, f"{field}.min_p", low=0, high=1)
    if message.HasField("top_p"):
        _require_above_zero(message.top_p, f"{field}.top_p", high=1)


def _check_penalties(message: generation_pb2.SamplingParameters, field: str) -> None:
    require_range(message.presence_penalty, f"{field}.presence_penalty", low=-2, high=2)
    require_range(message.frequency_penalty, f"{field}.frequency_penalty", low=-2, high=2)
    if message.HasField("repetition_penalty"):
        _require_above_zero(message.repetition_penalty, f"{field}.repetition_penalty", high=2)


def _check_counts(message: generation_pb2.SamplingParameters, field: str) -> None:
    if message.HasField("top_k"):
        require_range(message.top_k, f"{field}.top_k", low=1)
    if message.HasField("max_tokens"):
        require_range(message.max_tokens, f"{field}.max_tokens", low=1)
    if message.HasField("n"):
        require_range(message.n, f"{field}.n", low=1, high=MAX_CHOICES)
    require_range(message.logprobs, f"{field}.logprobs", high=MAX_LOGPROBS)


def _require_above_zero(value: float, field: str, *, high: float) -> None:
    require(0 < value <= high, field, f"{value:g} is not allowed: more than 0, at most {high:g}")


def _stops(message: generation_pb2.SamplingParameters, field: str) -> tuple[str, ...]:
    require_count(len(message.stop), field, low=0, high=MAX_STOPS)
    for number, stop in enumerate(message.stop):
        require(
            1 <= len(stop) <= MAX_STOP_CHARACTERS,
            f"{field}[{number}]",
            f"has {len(stop):,} characters; 1 to {MAX_STOP_CHARACTERS} are allowed",
        )
    return tuple(message.stop)


def _double(message: generation_pb2.SamplingParameters, name: str) -> float | None:
    return float(getattr(message, name)) if message.HasField(name) else None  # type: ignore[arg-type]


def _int(message: generation_pb2.SamplingParameters, name: str) -> int | None:
    return int(getattr(message, name)) if message.HasField(name) else None  # type: ignore[arg-type]
