"""What this room tells the others."""

from datetime import datetime
from typing import Any

from roost.core.clock import rfc3339

CREATED = "device.created"
UPDATED = "device.updated"
PAIRED = "device.paired"
DELETED = "device.deleted"
RELEASED = "device.released"
TOKEN_REVOKED = "device.token_revoked"  # noqa: S105 - the name of an event
STATUS_CHANGED = "device.status_changed"
# Says `{"lines": [[id, device id], …]}`. Not below `device.`, whose events are about one device each.
LOGS_WRITTEN = "device_logs.written"

# Those after which what is remembered about a device no longer holds.
DEVICE_EVENTS = frozenset({CREATED, UPDATED, PAIRED, DELETED, RELEASED, TOKEN_REVOKED})
# Those after which no credential of the device stands.
ENDING_EVENTS = frozenset({DELETED, RELEASED})


def device_event(device_id: int, organization_id: int | None) -> dict[str, Any]:
    """The body of every event but `device.status_changed`."""
    return {"device_id": device_id, "organization_id": organization_id}


def status_changed(
    device_id: int,
    organization_id: int | None,
    home_id: int | None,
    *,
    status: str,
    since: datetime,
    last_seen_at: datetime | None,
    reason: str | None,
    cause: str | None,
) -> dict[str, Any]:
    """The body of `device.status_changed`; times are RFC 3339."""
    return {
        "device_id": device_id,
        "organization_id": organization_id,
        "home_id": home_id,
        "status": status,
        "since": rfc3339(since),
        "last_seen_at": rfc3339(last_seen_at) if last_seen_at else None,
        "reason": reason,
        "cause": cause,
    }
