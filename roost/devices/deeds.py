"""What the audit log says of devices."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.devices.models import Device

CLAIMED = "device.claimed"
REGISTERED = "device.registered"
MOVED = "device.moved"
RELEASED = "device.released"
DELETED = "device.deleted"
TOKEN_ROTATED = "device.token_rotated"  # noqa: S105 - the name of a deed
TOKEN_REVOKED = "device.token_revoked"  # noqa: S105 - the name of a deed
PAIRING_STARTED = "device.pairing_started"


def record_deed(
    session: AsyncSession, action: str, actor: Actor, device: Device, *, organization_id: int | None = None, **said: Any
) -> None:
    """Write down, with this write session, what happened to the device; `said` are details as plain JSON."""
    deed = Deed(
        action,
        actor,
        organization_id=organization_id or device.organization_id,
        object_kind="device",
        object_id=device.id,
        object_name=device.name,
        details={"device_uid": device.device_uid, **said},
    )
    record(session, deed)
