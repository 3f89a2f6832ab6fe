"""Who may look at a device where both the device itself and users may."""

from roost.access.principals import UserPrincipal
from roost.core.database import Database
from roost.core.errors import NotFound
from roost.devices.identity import DeviceIdentity
from roost.devices.models import Device
from roost.devices.repository import find_own, get_device, no_device


async def ensure_visible(database: Database, caller: DeviceIdentity | UserPrincipal, device_id: int) -> Device:
    """The device, if the caller is it or reaches it; otherwise raises NotFound."""
    async with database.read() as session:
        if isinstance(caller, UserPrincipal):
            return await get_device(session, caller, device_id)
        check_own(caller, device_id)
        device = await find_own(session, device_id)
    if device is None:
        raise no_device(device_id)
    return device


def check_own(identity: DeviceIdentity, device_id: int) -> None:
    """Raises NotFound when the device asks for another one."""
    if identity.device_id != device_id:
        raise NotFound(
            f"This token belongs to device {identity.device_id}, not to {device_id}.", code="device_not_found"
        )
