"""Idempotency keys, which make a write safe to repeat."""

from __future__ import annotations

from uuid import uuid4


def idempotency_key(given: str) -> str:
    """The caller's key, or a fresh one: gRPC may repeat any write, so each has one."""
    return given or uuid4().hex
