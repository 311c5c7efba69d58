"""Seconds on the wire."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration


def duration_message(seconds: float | None) -> Duration | None:
    """Seconds as a message, to the nanosecond; None stays None."""
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
