"""What the shadow tells the other rooms."""

from typing import Any

from roost.core.clock import rfc3339
from roost.devices.shadow.documents import Document
from roost.devices.shadow.state import Shadow, Side

# Not below `device.`: those events are about the registry's row.
CHANGED = "device_shadow.changed"


def shadow_changed(shadow: Shadow, side: Side, patch: Document, place: tuple[int | None, int | None]) -> dict[str, Any]:
    """The body of `device_shadow.changed`: which side, how, and where that leaves the device; times are RFC 3339."""
    changed_at = getattr(shadow, side).changed_at
    return {
        "device_id": shadow.device_id,
        "organization_id": place[0],
        "home_id": place[1],
        "side": side,
        "patch": patch,
        "changed_at": rfc3339(changed_at) if changed_at else None,
        "desired_version": shadow.desired.version,
        "reported_version": shadow.reported.version,
        "delta": shadow.delta,
        "delta_version": shadow.delta_version,
    }
