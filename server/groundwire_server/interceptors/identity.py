"""Establishes who calls, from the call's metadata."""

from __future__ import annotations

from typing import Any

from groundwire_index.errors import InvalidArgumentError

from groundwire_server.identity import Identity, current_identity, is_identity
from groundwire_server.interceptors.method import Call, Context, Method

TENANT = "groundwire-tenant"
SUBJECT = "groundwire-subject"

_DEFAULT = Identity()


def identity(_: Method, call: Call) -> Call:
    """Set `current_identity` for the call; without the metadata it is the default one."""

    async def identified(request: Any, context: Context) -> Any:
        # gRPC runs each call in a task, and so in a context, of its own: nothing to reset.
        current_identity.set(_identity_of(context))
        return await call(request, context)

    return identified


def _identity_of(context: Context) -> Identity:
    found: dict[str, str] = {}
    for key, value in context.invocation_metadata() or ():
        if key in (TENANT, SUBJECT):
            if key in found:
                raise InvalidArgumentError(key, "must be given once")
            found[key] = _checked(key, value)
    if not found:
        return _DEFAULT
    return Identity(found.get(TENANT, _DEFAULT.tenant), found.get(SUBJECT, _DEFAULT.subject))


def _checked(key: str, value: str | bytes) -> str:
    if isinstance(value, str) and is_identity(value):
        return value
    raise InvalidArgumentError(key, "must be 1 to 128 characters of [A-Za-z0-9._:@-]")
