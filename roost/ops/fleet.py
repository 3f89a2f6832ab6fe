"""The SQL of the overview: everything counted by the database, a fixed number of queries however much there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.models import Organization, User
from roost.access.principals import UserPrincipal, visible_to
from roost.devices.models import Device
from roost.devices.presence_record import OFFLINE
from roost.places.models import Home, Resident, Room

SCOPE = "ops:read"

_CLAIMED = Device.claimed_at.is_not(None) & Device.retired_at.is_(None)
_ONLINE = func.count().filter(_CLAIMED, Device.status != OFFLINE)
_NEVER_SEEN = func.count().filter(_CLAIMED, Device.status == OFFLINE, Device.last_seen_at.is_(None))


@dataclass(frozen=True, slots=True)
class DeviceCounts:
    """Claimed devices by how they are."""

    total: int = 0
    online: int = 0
    never_seen: int = 0
    last_seen_at: datetime | None = None

    @property
    def offline(self) -> int:
        """Heard once, and not there now."""
        return self.total - self.online - self.never_seen


@dataclass(frozen=True, slots=True)
class Totals:
    """The whole installation."""

    devices: DeviceCounts
    unclaimed: int
    users: int
    active_users: int
    organizations: int
    homes: int


@dataclass(frozen=True, slots=True)
class House:
    """A home, whose it is, and what is in it."""

    home: Home
    organization_name: str
    devices: DeviceCounts
    rooms: int
    residents: int


async def count_everything(session: AsyncSession) -> Totals:
    """Totals of all organizations, in two queries."""
    unclaimed = func.count().filter(Device.organization_id.is_(None), Device.retired_at.is_(None))
    devices = select(func.count().filter(_CLAIMED), _ONLINE, _NEVER_SEEN, unclaimed).select_from(Device)
    total, online, never_seen, waiting = (await session.execute(devices)).one()
    others = select(
        select(func.count()).select_from(User).scalar_subquery(),
        select(func.count()).select_from(User).where(User.is_active).scalar_subquery(),
        select(func.count()).select_from(Organization).scalar_subquery(),
        select(func.count()).select_from(Home).scalar_subquery(),
    )
    users, active, organizations, homes = (await session.execute(others)).one()
    return Totals(DeviceCounts(total, online, never_seen), waiting, users, active, organizations, homes)


async def list_houses(
    session: AsyncSession,
    principal: UserPrincipal,
    *,
    organization_id: int | None,
    words: str | None,
    after_id: int,
    limit: int,
) -> list[House]:
    """At most `limit` homes by id, with what is in them, in four queries."""
    within = visible_to(principal, SCOPE, organization=Home.organization_id, home=Home.id)
    query = select(Home, Organization.name).join(Organization, Organization.id == Home.organization_id)
    query = query.where(within, Home.id > after_id).order_by(Home.id).limit(limit)
    if organization_id is not None:
        query = query.where(Home.organization_id == organization_id)
    if words is not None:
        query = query.where(func.lower(Home.name).contains(words.lower(), autoescape=True))
    rows = (await session.execute(query)).all()
    home_ids = [home.id for home, _ in rows]
    devices = await _devices_by_home(session, home_ids)
    rooms = await _counts(session, select(Room.home_id, func.count()).where(Room.home_id.in_(home_ids)), home_ids)
    people = select(Resident.home_id, func.count()).where(Resident.home_id.in_(home_ids))
    residents = await _counts(session, people, home_ids)
    nothing = DeviceCounts()
    return [
        House(home, name, devices.get(home.id, nothing), rooms.get(home.id, 0), residents.get(home.id, 0))
        for home, name in rows
    ]


async def _devices_by_home(session: AsyncSession, home_ids: Sequence[int]) -> dict[int, DeviceCounts]:
    if not home_ids:
        return {}
    query = select(
        Device.home_id,
        func.count().filter(_CLAIMED),
        _ONLINE,
        _NEVER_SEEN,
        func.max(Device.last_seen_at),
    )
    query = query.where(Device.home_id.in_(home_ids), _CLAIMED).group_by(Device.home_id)
    return {
        home_id: DeviceCounts(total, online, never_seen, last_seen_at)
        for home_id, total, online, never_seen, last_seen_at in await session.execute(query)
        if home_id is not None
    }


async def _counts(session: AsyncSession, query: Select[int, int], home_ids: Sequence[int]) -> dict[int, int]:
    if not home_ids:
        return {}
    column = query.selected_columns[0]
    return {row[0]: row[1] for row in await session.execute(query.group_by(column))}
