"""Who is calling. Every store is keyed by tenant, so every call carries one."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass

# Of callers that do not say who they are.
ANYBODY = "default"


_ALLOWED = re.compile(r"[A-Za-z0-9._:@-]{1,128}")


def is_identity(name: str) -> bool:
    """Whether a tenant or a subject can have this name."""
    return bool(_ALLOWED.fullmatch(name))


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller, as established by the identity interceptor."""

    tenant: str = ANYBODY
    subject: str = ANYBODY
    scopes: frozenset[str] = frozenset()


# Set by the identity interceptor for the task that handles one call.
current_identity: ContextVar[Identity] = ContextVar("current_identity")
