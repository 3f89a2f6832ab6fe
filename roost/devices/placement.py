"""Where a new or moved device belongs: which organization, home and room."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.principals import UserPrincipal, visible_to
from roost.core.errors import Forbidden, Invalid, NotFound
from roost.places.models import Home

WRITE = "devices:write"


@dataclass(frozen=True, slots=True)
class Place:
    organization_id: int
    home_id: int | None
    room_id: int | None


async def place_new(
    session: AsyncSession, principal: UserPrincipal, *, home_id: int | None, room_id: int | None
) -> Place:
    """The place for a new device; without a home, the caller's own organization and its home if it has just one.

    Raises NotFound for a home the caller cannot see, Forbidden where they may only look, Invalid when it is not clear
    which home is meant.
    """
    refuse_room(room_id)
    if home_id is not None:
        home = await _writable_home(session, principal, home_id)
        return Place(home.organization_id, home.id, None)
    reach = principal.reach(WRITE)
    own = sorted(reach.organizations) or [one for one in principal.organization_ids if reach.everywhere]
    if own:
        homes = select(Home.id).where(Home.organization_id == own[0]).order_by(Home.id).limit(2)
        found = (await session.scalars(homes)).all()
        return Place(own[0], found[0] if len(found) == 1 else None, None)
    if len(reach.homes) == 1:
        organization_id, only_home_id = next(iter(reach.homes))
        return Place(organization_id, only_home_id, None)
    raise Invalid(
        "Say in which home the device stands: home_id is missing.",
        errors=[{"pointer": "/home_id", "detail": "It is needed, because you have no organization of your own."}],
    )


async def check_move(
    session: AsyncSession, principal: UserPrincipal, organization_id: int, home_id: int | None
) -> None:
    """Whether a device of that organization may move there. Raises like `place_new`."""
    if home_id is None:
        if not principal.can(WRITE, organization_id):
            raise Forbidden("Only someone with rights in the whole organization can take a device out of its home.")
        return
    home = await _writable_home(session, principal, home_id)
    if home.organization_id != organization_id:
        raise Invalid(
            "A device cannot move to a home of another organization; release it and pair it there.",
            errors=[{"pointer": "/home_id", "detail": "The home belongs to another organization."}],
        )


def refuse_room(room_id: int | None) -> None:
    """Homes have no rooms yet, so none can be meant."""
    if room_id is not None:
        raise NotFound(f"There is no room {room_id}.", code="room_not_found")


async def _writable_home(session: AsyncSession, principal: UserPrincipal, home_id: int) -> Home:
    reach = visible_to(principal, "devices:read", organization=Home.organization_id, home=Home.id)
    home = await session.scalar(select(Home).where(Home.id == home_id, reach))
    if home is None:
        raise NotFound(f"There is no home {home_id}.", code="home_not_found")
    if not principal.can(WRITE, home.organization_id, home.id):
        raise Forbidden(f"You may look at the devices of home {home_id}, but not change them.", code="missing_scope")
    return home
