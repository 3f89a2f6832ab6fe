"""What people do with homes and their rooms."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.access.messages import tell_grants_changed
from roost.access.models import GrantRow
from roost.access.names import unique_key
from roost.access.organizations.repository import choose_organization
from roost.access.principals import UserPrincipal
from roost.core.clock import Clock
from roost.core.errors import Conflict, Forbidden
from roost.places.home_schemas import HomeCreate, HomeUpdate
from roost.places.models import Home, Room
from roost.places.ports import DevicesInPlaces
from roost.places.repository import WRITE, find_home, find_room, no_home, no_room
from roost.places.residents import leave_room as residents_leave_room


@dataclass(frozen=True, slots=True)
class RoomOfHome:
    home: Home
    room: Room


async def create(session: AsyncSession, clock: Clock, principal: UserPrincipal, wanted: HomeCreate) -> Home:
    """A new home. Raises NotFound, Forbidden or Invalid when it cannot be in that organization, or in none."""
    now = clock.now()
    home = Home(
        organization_id=await choose_organization(session, principal, WRITE, wanted.organization_id),
        name=wanted.name,
        address=wanted.address,
        timezone=wanted.timezone,
        created_at=now,
        updated_at=now,
    )
    session.add(home)
    await session.flush()
    record(session, _deed("home.created", principal, home))
    return home


async def get_for_change(session: AsyncSession, principal: UserPrincipal, home_id: int) -> Home:
    """The home, locked. NotFound when it cannot be seen, Forbidden when it can only be looked at."""
    home = await find_home(session, principal, home_id, lock=True)
    if home is None:
        raise no_home(home_id)
    if not principal.can(WRITE, home.organization_id, home.id):
        raise Forbidden(f"You may look at home {home_id}, but not change it.", code="missing_scope")
    return home


async def change(session: AsyncSession, clock: Clock, principal: UserPrincipal, home: Home, wanted: HomeUpdate) -> None:
    """Set what `wanted` gives."""
    before = {name: getattr(home, name) for name in wanted.model_fields_set}
    for name in before:
        setattr(home, name, getattr(wanted, name))
    home.updated_at = clock.now()
    after = {name: getattr(home, name) for name in before}
    record(session, _deed("home.changed", principal, home, before=before, after=after))


async def remove(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, devices: DevicesInPlaces, home: Home
) -> None:
    """Delete the home with its rooms and residents. Its devices stay in the organization, its assignments end."""
    moved = await devices.leave_home(session, home.id, clock.now())
    ended = await session.execute(delete(GrantRow).where(GrantRow.home_id == home.id).returning(GrantRow.user_id))
    users = set(ended.scalars())
    for user_id in sorted(users):
        tell_grants_changed(session, user_id)
    record(session, _deed("home.deleted", principal, home, devices=moved, assignments=len(users)))
    await session.execute(delete(Home).where(Home.id == home.id))


async def create_room(session: AsyncSession, clock: Clock, principal: UserPrincipal, home: Home, name: str) -> Room:
    """A new room. Raises Conflict when the home has one of this name."""
    now = clock.now()
    room = Room(home_id=home.id, name=name, name_key=unique_key(name), created_at=now, updated_at=now)
    session.add(room)
    await _flush_named(session, name)
    record(session, _room_deed("room.created", principal, RoomOfHome(home, room)))
    return room


async def get_room_for_change(
    session: AsyncSession, principal: UserPrincipal, home_id: int, room_id: int
) -> RoomOfHome:
    """The room and its home, both locked. Raises like `get_for_change`."""
    home = await get_for_change(session, principal, home_id)
    room = await find_room(session, principal, room_id, lock=True)
    if room is None or room.home_id != home.id:
        raise no_room(room_id)
    return RoomOfHome(home, room)


async def rename_room(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, where: RoomOfHome, name: str
) -> None:
    """Another name for the room. Raises Conflict when another room of the home has it."""
    room = where.room
    before = room.name
    room.name, room.name_key, room.updated_at = name, unique_key(name), clock.now()
    await _flush_named(session, name)
    record(session, _room_deed("room.changed", principal, where, before={"name": before}, after={"name": name}))


async def remove_room(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, devices: DevicesInPlaces, where: RoomOfHome
) -> None:
    """Delete the room; who and what was in it stays in the home."""
    room = where.room
    now: datetime = clock.now()
    moved = await devices.leave_room(session, room.id, now)
    await residents_leave_room(session, principal, room, now)
    record(session, _room_deed("room.deleted", principal, where, devices=moved))
    await session.execute(delete(Room).where(Room.id == room.id))


async def _flush_named(session: AsyncSession, name: str) -> None:
    try:
        await session.flush()
    except IntegrityError:
        # The home is locked and there, so it can only be the name.
        why = f"The home has a room {name!r} already; choose another name."
        raise Conflict(why, code="room_name_taken") from None


def _deed(action: str, principal: UserPrincipal, home: Home, **details: Any) -> Deed:
    return Deed(
        action,
        Actor.of(principal),
        organization_id=home.organization_id,
        object_kind="home",
        object_id=home.id,
        object_name=home.name,
        details=details,
    )


def _room_deed(action: str, principal: UserPrincipal, where: RoomOfHome, **details: Any) -> Deed:
    return Deed(
        action,
        Actor.of(principal),
        organization_id=where.home.organization_id,
        object_kind="room",
        object_id=where.room.id,
        object_name=where.room.name,
        details={"home_id": where.home.id, **details},
    )
