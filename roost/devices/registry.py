"""The registry's verbs: register, change, release, delete."""

import secrets
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.principals import UserPrincipal
from roost.core import outbox
from roost.core.clock import Clock
from roost.core.errors import Conflict, Forbidden
from roost.devices import credentials
from roost.devices.messages import CREATED, DELETED, RELEASED, STATUS_CHANGED, UPDATED, device_event, status_changed
from roost.devices.models import Device, DeviceTag, DeviceToken, PairingCode
from roost.devices.placement import WRITE, Place, place_moved
from roost.devices.repository import find_by_uid, get_device
from roost.devices.schemas import DeviceReplace, DeviceUpdate

_RELEASED = "It was released; pair it again to use it."
# No letters or digits that look alike: people read these aloud.
_UID_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


async def register(
    session: AsyncSession,
    clock: Clock,
    place: Place,
    *,
    name: str,
    device_uid: str | None = None,
    device_type: str | None = None,
    tags: list[str] | None = None,
    capabilities: dict[str, object] | None = None,
) -> tuple[Device, str]:
    """A new claimed device with its tags loaded, and its token. Raises Conflict when the uid is taken."""
    uid = device_uid or "dev-" + "".join(secrets.choice(_UID_LETTERS) for _ in range(12))
    taken = await find_by_uid(session, uid)
    if taken is not None:
        raise _taken(uid, waiting=taken.claimed_at is None)
    now = clock.now()
    device = Device(
        device_uid=uid,
        name=name,
        type=device_type,
        organization_id=place.organization_id,
        home_id=place.home_id,
        room_id=place.room_id,
        capabilities=capabilities or {},
        status="offline",
        claimed_at=now,
        created_at=now,
        updated_at=now,
        tag_rows=[DeviceTag(tag=tag) for tag in tags or ()],
    )
    session.add(device)
    try:
        await session.flush()
    except IntegrityError:
        raise _taken(uid, waiting=False) from None
    token = await credentials.issue(session, device.id, now)
    outbox.add(session, CREATED, device_event(device.id, device.organization_id))
    return device, token


async def get_for_change(session: AsyncSession, principal: UserPrincipal, device_id: int) -> Device:
    """The device, locked, with its tags. NotFound when it cannot be seen, Forbidden when it can only be looked at."""
    device = await get_device(session, principal, device_id, lock=True)
    if not principal.can(WRITE, device.organization_id, device.home_id):
        raise Forbidden(f"You may look at device {device_id}, but not change it.", code="missing_scope")
    return device


async def change(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, device: Device, wanted: DeviceReplace | DeviceUpdate
) -> None:
    """Set what `wanted` gives; a replacement gives everything."""
    given = set(type(wanted).model_fields) if isinstance(wanted, DeviceReplace) else wanted.model_fields_set
    if given & {"home_id", "room_id"} and device.organization_id is not None:
        before = Place(device.organization_id, device.home_id, device.room_id)
        home_id = wanted.home_id if "home_id" in given else before.home_id
        # A device leaves its room with its home, unless a room of the other home is given.
        room_id = wanted.room_id if "room_id" in given else (before.room_id if home_id == before.home_id else None)
        after = await place_moved(session, principal, before, home_id=home_id, room_id=room_id)
        device.home_id, device.room_id = after.home_id, after.room_id
    if "name" in given:
        device.name = wanted.name
    if "type" in given:
        device.type = wanted.type
    if "tags" in given:
        kept = {row.tag: row for row in device.tag_rows}
        device.tag_rows = [kept.get(tag) or DeviceTag(tag=tag) for tag in wanted.tags]
    device.updated_at = clock.now()
    await session.flush()
    outbox.add(session, UPDATED, device_event(device.id, device.organization_id))


async def note_firmware(session: AsyncSession, clock: Clock, device: Device, firmware_version: str) -> None:
    """What a device says about its firmware, outside of a hello."""
    device.firmware_version, device.firmware_at = firmware_version, clock.now()
    device.updated_at = clock.now()
    outbox.add(session, UPDATED, device_event(device.id, device.organization_id))


async def release(session: AsyncSession, device: Device, now: datetime) -> None:
    """End the claim: no token and no code stands any more. The row and its history stay with the organization."""
    for table in (DeviceToken, PairingCode):
        await session.execute(delete(table).where(table.device_id == device.id))
    was = device.status
    device.claimed_at = device.pairing_key_hash = device.hello_at = None
    device.status, device.status_since = "offline", now
    device.status_reason, device.status_cause = _RELEASED, "released"
    device.updated_at = now
    outbox.add(session, RELEASED, device_event(device.id, device.organization_id))
    if was != "offline":
        event = status_changed(
            device.id,
            device.organization_id,
            device.home_id,
            status="offline",
            since=now,
            last_seen_at=device.last_seen_at,
            reason=_RELEASED,
            cause="released",
        )
        outbox.add(session, STATUS_CHANGED, event)


async def remove(session: AsyncSession, device: Device) -> None:
    """Delete the device; rooms above clear away what they hold of it when they hear the event."""
    outbox.add(session, DELETED, device_event(device.id, device.organization_id))
    await session.execute(delete(Device).where(Device.id == device.id))


def _taken(uid: str, *, waiting: bool) -> Conflict:
    if waiting:
        return Conflict(f"The device {uid!r} has said hello itself; pair it with a code.", code="pair_instead")
    return Conflict(f"There is a device {uid!r} already; choose another device_uid.", code="device_uid_taken")
