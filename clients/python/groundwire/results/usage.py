"""What a tenant has used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from groundwire.call import Page
from groundwire.v1 import admin_service_pb2 as pb
from groundwire.values import to_seconds


@dataclass(frozen=True, slots=True)
class UsageDay:
    """What one subject has used of one model on one day (UTC)."""

    date: date
    subject: str
    """Empty with ``other_subjects``."""
    model: str
    """That answered or embedded; empty for calls that had none."""
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    average_latency_s: float | None
    """Of calls that did not fail; None if there was none to measure."""
    p95_latency_s: float | None
    """Within 5%."""
    average_confidence: float
    """Of the answers that had one; 0 if none had."""
    cache_hits: int
    other_subjects: bool
    """The subjects beyond as many as the server keeps apart, together."""


def usage(message: pb.GetUsageResponse) -> Page[UsageDay]:
    """A page of days."""
    return Page([_day(one) for one in message.days], message.next_cursor)


def _day(message: pb.UsageDay) -> UsageDay:
    return UsageDay(
        date.fromisoformat(message.date),
        message.subject,
        message.model,
        message.requests,
        message.errors,
        message.prompt_tokens,
        message.completion_tokens,
        to_seconds(message.average_latency) if message.HasField("average_latency") else None,
        to_seconds(message.p95_latency) if message.HasField("p95_latency") else None,
        message.average_confidence,
        message.cache_hits,
        message.other_subjects,
    )
