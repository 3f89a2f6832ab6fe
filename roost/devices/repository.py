"""All SQL of the registry. Whatever a user asks for starts from what that user may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from roost.access.principals import UserPrincipal, visible_to
from roost.core.errors import NotFound
from roost.devices.models import Device, DeviceLog, DeviceTag, PairingCode


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices are wanted; None = any. `words` are looked for in name and uid, in either case."""

    organization_id: int | None = None
    home_id: int | None = None
    room_id: int | None = None
    status: str | None = None
    type: str | None = None
    tag: str | None = None
    words: str | None = None
    firmware_version: str | None = None
    # Only those that somebody holds now, neither released nor retired.
    claimed: bool = False


def _visible(principal: UserPrincipal, scope: str) -> Select[Device]:
    reach = visible_to(principal, scope, organization=Device.organization_id, home=Device.home_id)
    # A device that nobody has claimed is nobody's, whatever one's reach.
    return select(Device).where(Device.organization_id.is_not(None), reach)


async def list_devices(
    session: AsyncSession, principal: UserPrincipal, wanted: DeviceFilter, *, after_id: int, limit: int
) -> Sequence[Device]:
    """At most `limit` devices with their tags, by id, in two queries."""
    query = _after(_matching(_visible(principal, "devices:read"), wanted), principal, wanted, after_id).limit(limit)
    return (await session.scalars(query.options(selectinload(Device.tag_rows)))).all()


def _after(query: Select[Device], principal: UserPrincipal, wanted: DeviceFilter, after_id: int) -> Select[Device]:
    """The devices behind one, by id; within one organization said so that its index is the only one that fits.

    PostgreSQL thinks an organization's devices spread evenly, takes the primary key, and passes all of the others.
    """
    organization_id = wanted.organization_id or principal.reach("devices:read").only_organization
    if organization_id is None:
        return query.where(Device.id > after_id).order_by(Device.id)
    place = tuple_(Device.organization_id, Device.id)
    inside = query.where(Device.organization_id == organization_id, place > tuple_(organization_id, after_id))
    return inside.order_by(Device.organization_id, Device.id)


def _matching(query: Select[Device], wanted: DeviceFilter) -> Select[Device]:
    if wanted.organization_id is not None:
        query = query.where(Device.organization_id == wanted.organization_id)
    if wanted.home_id is not None:
        query = query.where(Device.home_id == wanted.home_id)
    if wanted.room_id is not None:
        query = query.where(Device.room_id == wanted.room_id)
    if wanted.status is not None:
        query = query.where(Device.status == wanted.status)
    if wanted.type is not None:
        query = query.where(Device.type == wanted.type)
    if wanted.firmware_version is not None:
        query = query.where(Device.firmware_version == wanted.firmware_version)
    if wanted.claimed:
        query = query.where(Device.claimed_at.is_not(None), Device.retired_at.is_(None))
    if wanted.tag is not None:
        tagged = select(DeviceTag.device_id).where(DeviceTag.tag == wanted.tag)
        query = query.where(Device.id.in_(tagged))
    if wanted.words is not None:
        words = wanted.words.lower()
        query = query.where(
            or_(
                func.lower(Device.name).contains(words, autoescape=True),
                func.lower(Device.device_uid).contains(words, autoescape=True),
            )
        )
    return query


async def get_device(
    session: AsyncSession, principal: UserPrincipal, device_id: int, scope: str = "devices:read", *, lock: bool = False
) -> Device:
    """The device with its tags; raises NotFound when the principal may not see it with this scope."""
    query = _visible(principal, scope).where(Device.id == device_id).options(selectinload(Device.tag_rows))
    if lock:
        query = query.with_for_update(of=Device)
    device = await session.scalar(query)
    if device is None:
        raise no_device(device_id)
    return device


async def find_own(session: AsyncSession, device_id: int) -> Device | None:
    """The row of a device that has proved who it is."""
    query = select(Device).where(Device.id == device_id).options(selectinload(Device.tag_rows))
    return await session.scalar(query)


async def find_by_uid(session: AsyncSession, device_uid: str, *, lock: bool = False) -> Device | None:
    """The device that goes by this uid now, claimed or not."""
    query = select(Device).where(Device.device_uid == device_uid, Device.retired_at.is_(None))
    return await session.scalar(query.with_for_update() if lock else query)


async def find_code(session: AsyncSession, device_id: int) -> PairingCode | None:
    """The last code made for the device, locked: whoever judges it first wins."""
    return await session.scalar(select(PairingCode).where(PairingCode.device_id == device_id).with_for_update())


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines are wanted; None = any. `words` are looked for in either case; times are those of the device."""

    levels: Sequence[str] | None = None
    source: str | None = None
    words: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_logs(
    session: AsyncSession, device_id: int, wanted: LogFilter, *, before_id: int | None, limit: int
) -> Sequence[DeviceLog]:
    """Lines of one device, the last to come first."""
    query = select(DeviceLog).where(DeviceLog.device_id == device_id).order_by(DeviceLog.id.desc()).limit(limit)
    if wanted.levels is not None:
        query = query.where(DeviceLog.level.in_(wanted.levels))
    if wanted.source is not None:
        query = query.where(DeviceLog.source == wanted.source)
    if wanted.words is not None:
        query = query.where(func.lower(DeviceLog.message).contains(wanted.words.lower(), autoescape=True))
    if wanted.since is not None:
        query = query.where(DeviceLog.observed_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(DeviceLog.observed_at < wanted.until)
    if before_id is not None:
        query = query.where(DeviceLog.id < before_id)
    return (await session.scalars(query)).all()


async def list_written(session: AsyncSession, line_ids: Sequence[int]) -> Sequence[tuple[DeviceLog, int, int | None]]:
    """These lines in their order, each with the organization and the home in which its device is now."""
    query = select(DeviceLog, Device.organization_id, Device.home_id).join(Device, Device.id == DeviceLog.device_id)
    query = query.where(DeviceLog.id.in_(line_ids), Device.organization_id.is_not(None)).order_by(DeviceLog.id)
    return [(line, organization_id or 0, home_id) for line, organization_id, home_id in await session.execute(query)]


def no_device(device_id: int) -> NotFound:
    return NotFound(f"There is no device {device_id}.", code="device_not_found")


class DevicePlace(NamedTuple):
    """Where a device belongs, for questions about many of them."""

    id: int
    name: str
    type: str | None
    organization_id: int | None
    home_id: int | None


async def list_device_places(
    session: AsyncSession, principal: UserPrincipal, scope: str, wanted: DeviceFilter, *,
    device_ids: Sequence[int] = (), limit: int,
) -> Sequence[DevicePlace]:  # fmt: skip
    """The devices that the principal reaches with this scope, by id; raises NotFound when one that was named is not."""
    query = _matching(_visible(principal, scope), wanted)
    if device_ids:
        query = query.where(Device.id.in_(device_ids))
    columns = Device.id, Device.name, Device.type, Device.organization_id, Device.home_id
    rows = await session.execute(query.with_only_columns(*columns).order_by(Device.id).limit(limit))
    found = [DevicePlace(*row) for row in rows.all()]
    missing = set(device_ids) - {device.id for device in found}
    if missing:
        raise no_device(min(missing))
    return found


async def list_ids(
    session: AsyncSession, principal: UserPrincipal, scope: str, device_id: int | None = None,
    home_id: int | None = None, *, limit: int = 100_000,
) -> Sequence[int]:  # fmt: skip
    """The ids of the devices that the principal reaches with this scope."""
    query = _visible(principal, scope).with_only_columns(Device.id).order_by(Device.id).limit(limit)
    if device_id is not None:
        query = query.where(Device.id == device_id)
    if home_id is not None:
        query = query.where(Device.home_id == home_id)
    return (await session.scalars(query)).all()


async def list_uids(
    session: AsyncSession, principal: UserPrincipal, scope: str, *, device_ids: Sequence[int] = (),
    home_id: int | None = None, organization_id: int | None = None, from_id: int = 0, limit: int,
) -> Sequence[tuple[int, str]]:  # fmt: skip
    """Ids, from `from_id` on, and uids of the devices that the principal reaches, by id; none named: of all."""
    query = _visible(principal, scope).with_only_columns(Device.id, Device.device_uid)
    query = query.where(Device.id >= from_id).order_by(Device.id).limit(limit)
    if device_ids:
        query = query.where(Device.id.in_(device_ids))
    if home_id is not None:
        query = query.where(Device.home_id == home_id)
    if organization_id is not None:
        query = query.where(Device.organization_id == organization_id)
    return [(device_id, device_uid) for device_id, device_uid in await session.execute(query)]


async def list_owners(session: AsyncSession) -> Sequence[int]:
    """The ids of the organizations that have devices, or had some that are left."""
    query = select(Device.organization_id).where(Device.organization_id.is_not(None)).distinct()
    return sorted(owner for owner in await session.scalars(query) if owner is not None)


async def list_by_uids(
    session: AsyncSession, principal: UserPrincipal, scope: str, uids: Sequence[str]
) -> Sequence[tuple[int, str]]:
    """Ids and uids of the devices within reach that go by these uids, or went by them; who does now comes last."""
    query = _visible(principal, scope).with_only_columns(Device.id, Device.device_uid)
    query = query.where(Device.device_uid.in_(uids)).order_by(Device.retired_at.is_(None), Device.id)
    return [(device_id, device_uid) for device_id, device_uid in await session.execute(query)]
