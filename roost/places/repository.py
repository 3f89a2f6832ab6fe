"""All SQL that reads homes, rooms and residents. Whatever a user asks for starts from what that user may see."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from roost.access.models import Organization
from roost.access.principals import UserPrincipal, visible_to
from roost.core.errors import NotFound
from roost.places.models import Home, Resident, ResidentEvent, Room

READ, WRITE = "homes:read", "homes:write"

TextColumn = InstrumentedAttribute[str] | InstrumentedAttribute[str | None]


@dataclass(frozen=True, slots=True)
class HomeRow:
    home: Home
    organization_name: str
    room_count: int
    resident_count: int


@dataclass(frozen=True, slots=True)
class RoomRow:
    room: Room
    organization_id: int
    resident_count: int


@dataclass(frozen=True, slots=True)
class ResidentRow:
    resident: Resident
    organization_id: int
    home_name: str
    room_name: str | None


@dataclass(frozen=True, slots=True)
class ResidentFilter:
    """Which residents are wanted; None = any. `words` are looked for in both names, in either case."""

    organization_id: int | None = None
    home_id: int | None = None
    room_id: int | None = None
    words: str | None = None


def homes_within(principal: UserPrincipal, scope: str = READ) -> ColumnElement[bool]:
    """The WHERE clause of homes within reach."""
    return visible_to(principal, scope, organization=Home.organization_id, home=Home.id)


async def list_homes(
    session: AsyncSession,
    principal: UserPrincipal,
    *,
    organization_id: int | None,
    words: str | None,
    after_id: int,
    limit: int,
) -> list[HomeRow]:
    """At most `limit` homes by id, in one query."""
    query = _homes(principal).where(Home.id > after_id).order_by(Home.id).limit(limit)
    if organization_id is not None:
        query = query.where(Home.organization_id == organization_id)
    if words is not None:
        query = query.where(_mentions(words, Home.name, Home.address))
    return [HomeRow(*row) for row in await session.execute(query)]


async def get_home(session: AsyncSession, principal: UserPrincipal, home_id: int) -> HomeRow:
    """The home; raises NotFound when the principal may not see it."""
    row = (await session.execute(_homes(principal).where(Home.id == home_id))).one_or_none()
    if row is None:
        raise no_home(home_id)
    return HomeRow(*row)


async def find_home(
    session: AsyncSession, principal: UserPrincipal, home_id: int, scope: str = READ, *, lock: bool = False
) -> Home | None:
    """The bare home, locked if wanted, when the principal reaches it with this scope."""
    query = select(Home).where(Home.id == home_id, homes_within(principal, scope))
    return await session.scalar(query.with_for_update() if lock else query)


async def list_rooms(session: AsyncSession, home_id: int, *, after_id: int, limit: int) -> list[RoomRow]:
    """At most `limit` rooms of a home that the caller has been found to see, by id."""
    query = _rooms().where(Room.home_id == home_id, Room.id > after_id).order_by(Room.id).limit(limit)
    return [RoomRow(*row) for row in await session.execute(query)]


async def get_room(session: AsyncSession, principal: UserPrincipal, home_id: int, room_id: int) -> RoomRow:
    """The room of that home; raises NotFound when the principal may not see the home or the room is elsewhere."""
    query = _rooms().where(Room.id == room_id, Room.home_id == home_id, homes_within(principal))
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise no_room(room_id)
    return RoomRow(*row)


async def find_room(
    session: AsyncSession, principal: UserPrincipal, room_id: int, scope: str = READ, *, lock: bool = False
) -> Room | None:
    """The bare room, locked if wanted, when the principal reaches its home with this scope."""
    query = select(Room).join(Home, Home.id == Room.home_id).where(Room.id == room_id, homes_within(principal, scope))
    return await session.scalar(query.with_for_update(of=Room) if lock else query)


async def list_residents(
    session: AsyncSession, principal: UserPrincipal, wanted: ResidentFilter, *, after_id: int, limit: int
) -> list[ResidentRow]:
    """At most `limit` residents by id, in one query."""
    query = _residents(principal).where(Resident.id > after_id).order_by(Resident.id).limit(limit)
    if wanted.organization_id is not None:
        query = query.where(Home.organization_id == wanted.organization_id)
    if wanted.home_id is not None:
        query = query.where(Resident.home_id == wanted.home_id)
    if wanted.room_id is not None:
        query = query.where(Resident.room_id == wanted.room_id)
    if wanted.words is not None:
        query = query.where(_mentions(wanted.words, Resident.full_name, Resident.preferred_name))
    return [ResidentRow(*row) for row in await session.execute(query)]


async def get_resident(
    session: AsyncSession, principal: UserPrincipal, resident_id: int, *, lock: bool = False
) -> ResidentRow:
    """The resident; raises NotFound when the principal may not see that home."""
    query = _residents(principal).where(Resident.id == resident_id)
    row = (await session.execute(query.with_for_update(of=Resident) if lock else query)).one_or_none()
    if row is None:
        raise NotFound(f"There is no resident {resident_id}.", code="resident_not_found")
    return ResidentRow(*row)


async def list_events(
    session: AsyncSession, resident_id: int, *, kind: str | None, after_id: int, limit: int
) -> Sequence[ResidentEvent]:
    """A timeline, newest first, from the line after the one with `after_id` on (0 = from its end)."""
    query = select(ResidentEvent).where(ResidentEvent.resident_id == resident_id)
    query = query.order_by(ResidentEvent.occurred_at.desc(), ResidentEvent.id.desc()).limit(limit)
    if kind is not None:
        query = query.where(ResidentEvent.kind == kind)
    if after_id:
        seen = select(ResidentEvent.occurred_at, ResidentEvent.id)
        seen = seen.where(ResidentEvent.id == after_id, ResidentEvent.resident_id == resident_id)
        query = query.where(tuple_(ResidentEvent.occurred_at, ResidentEvent.id) < seen.scalar_subquery())
    return (await session.scalars(query)).all()


def no_home(home_id: int) -> NotFound:
    return NotFound(f"There is no home {home_id}.", code="home_not_found")


def no_room(room_id: int) -> NotFound:
    return NotFound(f"There is no room {room_id}.", code="room_not_found")


def _homes(principal: UserPrincipal) -> Select[Home, str, int, int]:
    rooms = select(func.count()).where(Room.home_id == Home.id).correlate(Home).scalar_subquery()
    residents = select(func.count()).where(Resident.home_id == Home.id).correlate(Home).scalar_subquery()
    query = select(Home, Organization.name, rooms, residents).join(Organization)
    return query.where(homes_within(principal))


def _rooms() -> Select[Room, int, int]:
    residents = select(func.count()).where(Resident.room_id == Room.id).correlate(Room).scalar_subquery()
    return select(Room, Home.organization_id, residents).join(Home, Home.id == Room.home_id)


def _residents(principal: UserPrincipal) -> Select[Resident, int, str, str]:
    query = select(Resident, Home.organization_id, Home.name, Room.name)
    query = query.join(Home, Home.id == Resident.home_id).outerjoin(Room, Room.id == Resident.room_id)
    return query.where(homes_within(principal))


def _mentions(words: str, *columns: TextColumn) -> ColumnElement[bool]:
    wanted = words.lower()
    return or_(*(func.lower(column).contains(wanted, autoescape=True) for column in columns))
