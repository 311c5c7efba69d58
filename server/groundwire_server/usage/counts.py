"""What is counted of the calls of one subject and model on one day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from groundwire_server.usage.call import CallUsage
from groundwire_server.usage.sketch import bucket_of, quantile

_MILLION = 1_000_000
_P95 = 0.95


@dataclass(slots=True)
class Counts:
    """Numbers that are added up, whoever has counted them: all are whole."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_hits: int = 0
    confident: int = 0
    """Answers with a confidence."""
    confidence_ppm: int = 0
    """The sum of these, in millionths."""
    latency_us: int = 0
    latencies: Counter[int] = field(default_factory=Counter)
    """Calls by the bucket of their latency; see `sketch`."""

    def add(self, call: CallUsage, latency_s: float | None, *, failed: bool) -> None:
        """Count a call that has ended; one without a latency is left out there."""
        self.requests += 1
        self.errors += failed
        self.prompt_tokens += call.prompt_tokens
        self.completion_tokens += call.completion_tokens
        self.cache_hits += call.cache_hits
        if call.confidence is not None:
            self.confident += 1
            self.confidence_ppm += round(call.confidence * _MILLION)
        if latency_s is not None:
            self.latency_us += round(latency_s * _MILLION)
            self.latencies[bucket_of(latency_s)] += 1

    @property
    def average_latency_s(self) -> float | None:
        """None if no call has one."""
        calls = self.latencies.total()
        return self.latency_us / _MILLION / calls if calls else None

    @property
    def p95_latency_s(self) -> float | None:
        """None if no call has one."""
        return quantile(self.latencies, _P95)

    @property
    def average_confidence(self) -> float | None:
        """None if no answer has one."""
        return self.confidence_ppm / _MILLION / self.confident if self.confident else None

    @property
    def fields(self) -> Mapping[str, int]:
        """Short names and numbers, without zeros: what is stored."""
        named = {short: int(getattr(self, name)) for short, name in _SHORT.items()}
        buckets = {str(bucket): calls for bucket, calls in self.latencies.items()}
        return {name: number for name, number in (named | buckets).items() if number}

    @classmethod
    def of(cls, fields: Mapping[str, int]) -> Self:
        """What `fields` has given, or the sums of several such."""
        named = {name: fields.get(short, 0) for short, name in _SHORT.items()}
        buckets = {int(name): calls for name, calls in fields.items() if name.isdigit()}
        return cls(**named, latencies=Counter(buckets))


_SHORT = {
    "n": "requests",
    "e": "errors",
    "p": "prompt_tokens",
    "c": "completion_tokens",
    "h": "cache_hits",
    "k": "confident",
    "s": "confidence_ppm",
    "u": "latency_us",
}
