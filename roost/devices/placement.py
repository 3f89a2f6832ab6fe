"""Where a new or moved device belongs: which organization, home and room."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.organizations.repository import choose_organization
from roost.access.principals import UserPrincipal
from roost.core.errors import Forbidden, Invalid
from roost.places.models import Home, Room
from roost.places.repository import find_home, find_room, no_home, no_room

READ, WRITE = "devices:read", "devices:write"


@dataclass(frozen=True, slots=True)
class Place:
    organization_id: int
    home_id: int | None
    room_id: int | None


async def place_new(
    session: AsyncSession,
    principal: UserPrincipal,
    *,
    home_id: int | None,
    room_id: int | None,
    organization_id: int | None = None,
) -> Place:
    """The place for a new device.

    A room says its home, a home its organization. Without either, it is the given organization or the caller's own,
    and its home if it has just one. Raises NotFound for what the caller cannot see, Forbidden where they may only
    look, Invalid when it is not clear what is meant or the three do not fit together.
    """
    room = await _visible_room(session, principal, room_id)
    if room is not None and home_id is None:
        home_id = room.home_id
    if home_id is None:
        return await _default_place(session, principal, organization_id)
    home = await _writable_home(session, principal, home_id)
    _require_same_home(room, home.id)
    if organization_id not in {None, home.organization_id}:
        raise _misfit("/organization_id", f"Home {home.id} belongs to another organization.")
    return Place(home.organization_id, home.id, room_id)


async def place_moved(
    session: AsyncSession, principal: UserPrincipal, before: Place, *, home_id: int | None, room_id: int | None
) -> Place:
    """Where a device is that goes from `before` to that home and room. Raises like `place_new`."""
    if home_id != before.home_id:
        await _check_move(session, principal, before.organization_id, home_id)
    if (home_id, room_id) != (before.home_id, before.room_id):
        _require_same_home(await _visible_room(session, principal, room_id), home_id)
    return Place(before.organization_id, home_id, room_id)


async def _default_place(session: AsyncSession, principal: UserPrincipal, organization_id: int | None) -> Place:
    reach = principal.reach(WRITE)
    if organization_id is None and not reach.organizations and len(reach.homes) == 1:
        only_organization_id, only_home_id = next(iter(reach.homes))
        return Place(only_organization_id, only_home_id, None)
    if organization_id is not None or reach.organizations or reach.everywhere:
        chosen = await choose_organization(session, principal, WRITE, organization_id)
        homes = select(Home.id).where(Home.organization_id == chosen).order_by(Home.id).limit(2)
        found = (await session.scalars(homes)).all()
        return Place(chosen, found[0] if len(found) == 1 else None, None)
    raise Invalid(
        "Say in which home the device stands: home_id is missing.",
        errors=[{"pointer": "/home_id", "detail": "It is needed, because you have no organization of your own."}],
    )


async def _check_move(
    session: AsyncSession, principal: UserPrincipal, organization_id: int, home_id: int | None
) -> None:
    if home_id is None:
        if not principal.can(WRITE, organization_id):
            raise Forbidden("Only someone with rights in the whole organization can take a device out of its home.")
        return
    home = await _writable_home(session, principal, home_id)
    if home.organization_id != organization_id:
        raise Invalid(
            "A device cannot move to a home of another organization; transfer it, or release it and pair it there.",
            errors=[{"pointer": "/home_id", "detail": "The home belongs to another organization."}],
        )


async def _writable_home(session: AsyncSession, principal: UserPrincipal, home_id: int) -> Home:
    home = await find_home(session, principal, home_id, READ)
    if home is None:
        raise no_home(home_id)
    if not principal.can(WRITE, home.organization_id, home.id):
        raise Forbidden(f"You may look at the devices of home {home_id}, but not change them.", code="missing_scope")
    return home


async def _visible_room(session: AsyncSession, principal: UserPrincipal, room_id: int | None) -> Room | None:
    if room_id is None:
        return None
    room = await find_room(session, principal, room_id, READ)
    if room is None:
        raise no_room(room_id)
    return room


def _require_same_home(room: Room | None, home_id: int | None) -> None:
    if room is not None and room.home_id != home_id:
        where = "the device is in no home" if home_id is None else f"the device is in home {home_id}"
        raise _misfit("/room_id", f"Room {room.id} is in home {room.home_id}, but {where}.")


def _misfit(pointer: str, why: str) -> Invalid:
    return Invalid(why, code="place_mismatch", errors=[{"pointer": pointer, "detail": why}])
