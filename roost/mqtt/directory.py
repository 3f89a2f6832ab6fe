"""Which devices a subscriber may read, and what each said last."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from roost.access.principals import UserPrincipal, visible_to
from roost.core.clock import rfc3339
from roost.core.database import Database
from roost.devices.identity import DeviceIdentity
from roost.devices.models import Device
from roost.devices.presence import Presence
from roost.mqtt.payloads import message_payload, readings_payload, status_payload
from roost.mqtt.topics import STATUS
from roost.telemetry.log import MessageFilter
from roost.telemetry.messages import Reading
from roost.telemetry.queries import TelemetryStore

# A subscriber to everything gets the last values of so many devices, the rest as soon as they speak.
MOST_DEVICES = 5_000


@dataclass(frozen=True, slots=True)
class DeviceDirectory:
    """The registry and the store as subscribers see them."""

    database: Database
    store: TelemetryStore
    presence: Presence

    async def find(self, device_id: int) -> DeviceIdentity | None:
        """The device as it is registered now."""
        async with self.database.read() as session:
            device = await session.get(Device, device_id)
        if device is None or device.organization_id is None:
            return None
        return DeviceIdentity(device.id, device.device_uid, device.organization_id, device.home_id)

    async def visible(self, user: UserPrincipal, name: str | None, scope: str) -> Sequence[DeviceIdentity]:
        """The devices that the user may read with `scope`: the one with this id or uid, or the first 5,000."""
        reach = visible_to(user, scope, organization=Device.organization_id, home=Device.home_id)
        query = select(Device.id, Device.device_uid, Device.organization_id, Device.home_id)
        query = query.where(reach, Device.organization_id.is_not(None), Device.retired_at.is_(None))
        if name is not None:
            # Digits alone are an id: no uid consists of them.
            query = query.where(Device.id == _row_id(name) if name.isdecimal() else Device.device_uid == name)
        async with self.database.read() as session:
            rows = (await session.execute(query.order_by(Device.id).limit(MOST_DEVICES))).all()
        return [DeviceIdentity(row[0], row[1], row[2], row[3]) for row in rows if row[2] is not None]

    async def last(self, device: DeviceIdentity, leaf: str) -> bytes | None:
        """The newest payload of a live topic; None when the device has said nothing yet."""
        if leaf == STATUS:
            return await self._status(device.device_id)
        rows = await self.store.recent([device.device_id], 1, MessageFilter(events_only=leaf == "events"))
        if not rows:
            return None
        row = rows[0]
        if leaf == "readings":
            units = row.units_by_key()
            values = row.readings().items()
            return readings_payload([Reading(key, value, units.get(key), row.observed_at) for key, value in values])
        return message_payload(row.id, row.event_type, row.observed_at, row.received_at, row.payload)

    async def _status(self, device_id: int) -> bytes | None:
        async with self.database.read() as session:
            device = await session.get(Device, device_id)
        if device is None:
            return None
        view = self.presence.view_of(device)
        return status_payload(
            {
                "status": view.status,
                "since": rfc3339(view.since) if view.since else None,
                "last_seen_at": rfc3339(view.last_seen_at) if view.last_seen_at else None,
                "reason": view.reason,
                "cause": view.cause,
            }
        )


def _row_id(name: str) -> int:
    """The id that `name` spells; 0, which no row has, for what no database column holds."""
    return int(name) if len(name) <= 18 else 0
