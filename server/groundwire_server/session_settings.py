"""What can be said of the sessions of each tenant."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from groundwire_server.memory.retention import Policies, Retention

EVERY_TENANT = "*"


class RetentionSettings(BaseModel):
    """How long sessions of a tenant are kept; what is not said is not limited."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    idle_days: float | None = Field(
        default=None, gt=0, le=36_500, description="Days without use after which one is deleted."
    )
    sessions_per_subject: int | None = Field(
        default=None, ge=1, description="Sessions that a subject keeps: those that it used last."
    )
    turns: int | None = Field(
        default=None, ge=1, description="Turns that a tenant keeps, in the sessions used last."
    )
    bytes: int | None = Field(default=None, ge=1, description="Bytes of turns, likewise.")


def policies_of(settings: Mapping[str, RetentionSettings]) -> Policies:
    """The retention of each tenant; what is said of a tenant by name is all that holds for it."""
    by_tenant = {tenant: Retention(**one.model_dump()) for tenant, one in settings.items()}
    return Policies(by_tenant.pop(EVERY_TENANT, Retention()), by_tenant)
