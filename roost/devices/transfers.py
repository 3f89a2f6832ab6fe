"""Homes and devices that go over to another organization, with their history: the ids stay.

Whoever transfers owns both sides. What the old organization attached to them (assignments, pairing codes) stays behind.
"""

from collections.abc import Sequence

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.access.messages import tell_grants_changed
from roost.access.models import GrantRow
from roost.access.organizations.repository import get_organization_with
from roost.access.principals import UserPrincipal
from roost.core import outbox
from roost.core.clock import Clock
from roost.core.errors import Conflict, Forbidden, Invalid
from roost.devices.messages import UPDATED, device_event
from roost.devices.models import Device, PairingCode
from roost.devices.repository import get_device
from roost.places.models import Home
from roost.places.repository import find_home, no_home

OWN = "organization:write"


async def transfer_home(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, home_id: int, organization_id: int
) -> Sequence[int]:
    """Give the home, with rooms, residents and devices, to another organization; returns the ids of the devices.

    Raises NotFound for what the caller cannot see, Forbidden without owning both sides, Conflict when it is there.
    """
    home = await find_home(session, principal, home_id, lock=True)
    if home is None:
        raise no_home(home_id)
    await _check_sides(session, principal, home.organization_id, organization_id, f"home {home_id}")
    before, now = home.organization_id, clock.now()
    home.organization_id, home.updated_at = organization_id, now
    moving = update(Device).where(Device.home_id == home_id).values(organization_id=organization_id, updated_at=now)
    device_ids = sorted(await session.scalars(moving.returning(Device.id)))
    for device_id in device_ids:
        outbox.add(session, UPDATED, device_event(device_id, organization_id))
    # Only now: a code that was started for a device of this home belongs to those who started it.
    await session.execute(delete(PairingCode).where(PairingCode.home_id == home_id))
    ended = await session.scalars(delete(GrantRow).where(GrantRow.home_id == home_id).returning(GrantRow.user_id))
    for user_id in sorted(set(ended)):
        tell_grants_changed(session, user_id)
    _record(session, principal, home, home.name, before, organization_id)
    return device_ids


async def transfer_device(
    session: AsyncSession,
    clock: Clock,
    principal: UserPrincipal,
    device_id: int,
    *,
    organization_id: int,
    home_id: int | None,
) -> Device:
    """Give one device to another organization, and into a home of it if one is named. Raises like `transfer_home`."""
    device = await get_device(session, principal, device_id, lock=True)
    before = device.organization_id
    assert before is not None, "the repository gives out claimed devices only"  # noqa: S101
    await _check_sides(session, principal, before, organization_id, f"device {device_id}")
    if home_id is not None:
        await _check_home(session, principal, organization_id, home_id)
    device.organization_id, device.home_id, device.room_id = organization_id, home_id, None
    device.updated_at = clock.now()
    await session.execute(delete(PairingCode).where(PairingCode.device_id == device_id))
    outbox.add(session, UPDATED, device_event(device_id, organization_id))
    _record(session, principal, device, device.device_uid, before, organization_id)
    return device


async def _check_sides(session: AsyncSession, principal: UserPrincipal, from_id: int, to_id: int, what: str) -> None:
    await get_organization_with(session, principal, to_id, OWN, lock=True)
    if not principal.can(OWN, from_id):
        raise Forbidden(f"Only an owner of its organization can give {what} away.", code="missing_scope")
    if from_id == to_id:
        raise Conflict(f"The {what} belongs to this organization already.", code="already_there")


async def _check_home(session: AsyncSession, principal: UserPrincipal, organization_id: int, home_id: int) -> None:
    home = await find_home(session, principal, home_id, lock=True)
    if home is None:
        raise no_home(home_id)
    if home.organization_id != organization_id:
        why = f"Home {home_id} is not one of organization {organization_id}."
        raise Invalid(why, code="place_mismatch", errors=[{"pointer": "/home_id", "detail": why}])


def _record(session: AsyncSession, principal: UserPrincipal, thing: Home | Device, name: str, *sides: int) -> None:
    """One entry for each side: either organization reads in its own log what came or went."""
    kind = "home" if isinstance(thing, Home) else "device"
    from_id, to_id = sides
    for side in sides:
        deed = Deed(
            f"{kind}.transferred",
            Actor.of(principal),
            organization_id=side,
            object_kind=kind,
            object_id=thing.id,
            object_name=name,
            details={"from_organization_id": from_id, "to_organization_id": to_id},
        )
        record(session, deed)
