"""Who is calling. Every store is keyed by tenant, so every call carries one."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller, as established by the identity interceptor."""

    tenant: str = "default"
    subject: str = "default"
    scopes: frozenset[str] = frozenset()


# Set by the identity interceptor for the task that handles one call.
current_identity: ContextVar[Identity] = ContextVar("current_identity")
