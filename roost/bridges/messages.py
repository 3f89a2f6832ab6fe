"""What this room tells itself in other processes."""

from typing import Any

CHANGED = "bridge.changed"


def bridge_event(bridge_id: int, organization_id: int) -> dict[str, Any]:
    """The body of `bridge.changed`: it was made, changed or is to end."""
    return {"bridge_id": bridge_id, "organization_id": organization_id}
