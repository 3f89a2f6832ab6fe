"""The audit log as it crosses the wire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from roost.access.audit.models import AuditEntry
from roost.access.schemas import Timestamp
from roost.core.clock import rfc3339


class AuditRead(BaseModel):
    """One entry: who did what, on what, from where, when, and how it ended."""

    id: int
    at: Timestamp
    actor_kind: str = Field(description="user, api_token, device, anonymous or system.")
    actor_id: int | None = Field(description="The user's id (an API token's user), or the device's.")
    actor_name: str | None
    organization_id: int | None
    action: str = Field(description="Such as `device.claimed`.")
    object_kind: str | None
    object_id: str | None
    object_name: str | None
    outcome: Literal["success", "refused", "failed"]
    address: str | None
    request_id: str | None
    details: dict[str, Any]
    seal: str = Field(description="Covers this entry and the seal of the one before it.")

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditRead":
        """The entry as it crosses the wire."""
        values = {name: getattr(entry, name) for name in cls.model_fields if name != "seal"}
        return cls(**values, seal=entry.mac)


COLUMNS = tuple(AuditRead.model_fields)


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table with the names and values of `AuditRead`, ready for JSON."""
    at: datetime = row["at"]
    return {**{name: row[name] for name in COLUMNS if name != "seal"}, "at": rfc3339(at), "seal": row["mac"]}
