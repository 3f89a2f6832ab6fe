"""Which technician works in which home. An assignment is the technician's grant for that home, and has its id."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Select, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor, Deed, record
from roost.access.messages import tell_grants_changed
from roost.access.models import GrantRow, Organization, User
from roost.access.principals import Grant, UserPrincipal, visible_to
from roost.core.clock import Clock
from roost.core.errors import Conflict, Forbidden, NotFound
from roost.places.homes import get_for_change
from roost.places.models import Home, Room
from roost.places.repository import homes_within, no_home

ROLE = "technician"


@dataclass(frozen=True, slots=True)
class AssignmentRow:
    grant: GrantRow
    user: User
    home: Home
    organization_name: str


@dataclass(frozen=True, slots=True)
class AssignmentFilter:
    """Whose assignments, or to which home, or in which organization; nothing = the caller's own."""

    user_id: int | None = None
    home_id: int | None = None
    organization_id: int | None = None


async def list_assignments(
    session: AsyncSession, principal: UserPrincipal, wanted: AssignmentFilter, *, after_id: int, limit: int
) -> list[AssignmentRow]:
    """At most `limit` assignments by id, in one query."""
    query = _assignments(principal).where(GrantRow.id > after_id).order_by(GrantRow.id).limit(limit)
    if wanted == AssignmentFilter():
        query = query.where(GrantRow.user_id == principal.user_id)
    if wanted.user_id is not None:
        query = query.where(GrantRow.user_id == wanted.user_id)
    if wanted.home_id is not None:
        query = query.where(GrantRow.home_id == wanted.home_id)
    if wanted.organization_id is not None:
        query = query.where(GrantRow.organization_id == wanted.organization_id)
    return [AssignmentRow(*row) for row in await session.execute(query)]


async def rooms_of(session: AsyncSession, home_ids: Iterable[int]) -> dict[int, list[Room]]:
    """The rooms of homes that the caller has been found to see, in one query."""
    rooms: dict[int, list[Room]] = {home_id: [] for home_id in home_ids}
    query = select(Room).where(Room.home_id.in_(sorted(rooms))).order_by(Room.id)
    for room in await session.scalars(query):
        rooms[room.home_id].append(room)
    return rooms


async def assign(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, *, user_id: int, home_id: int
) -> AssignmentRow:
    """Let a technician work in the home.

    Raises NotFound for a home or a user that the caller cannot see, Forbidden without rights there, Conflict when the
    user is no technician of the organization or works there already.
    """
    organization = await _locked_organization(session, principal, home_id)
    home = await get_for_change(session, principal, home_id)
    _require_manager(principal, home.organization_id, home.id)
    user = await _colleague(session, principal, user_id)
    await _require_technician(session, user, home.organization_id)
    if await session.scalar(_assigned(user_id).where(GrantRow.home_id == home_id)) is not None:
        raise Conflict(f"User {user_id} is assigned to home {home_id} already.", code="already_assigned")
    grant = GrantRow(
        user_id=user_id,
        role=ROLE,
        organization_id=home.organization_id,
        home_id=home_id,
        created_at=clock.now(),
    )
    session.add(grant)
    await session.flush()
    tell_grants_changed(session, user_id)
    record(session, _deed("grant.given", principal, grant, user))
    return AssignmentRow(grant, user, home, organization.name)


async def dismiss(session: AsyncSession, principal: UserPrincipal, assignment_id: int) -> None:
    """End an assignment; open connections of the technician are judged anew at once."""
    query = _assignments(principal).where(GrantRow.id == assignment_id).with_for_update(of=GrantRow)
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise NotFound(f"There is no assignment {assignment_id}.", code="assignment_not_found")
    row = AssignmentRow(*found)
    _require_manager(principal, row.home.organization_id, row.home.id)
    tell_grants_changed(session, row.user.id)
    record(session, _deed("grant.taken", principal, row.grant, row.user))
    await session.execute(delete(GrantRow).where(GrantRow.id == assignment_id))


def _assignments(principal: UserPrincipal) -> Select[GrantRow, User, Home, str]:
    """The caller's own assignments, and those of everybody whom the caller may look up."""
    own = GrantRow.user_id == principal.user_id
    if principal.only_organization_id is not None:
        own &= GrantRow.organization_id == principal.only_organization_id
    query = select(GrantRow, User, Home, Organization.name)
    query = query.join(User, User.id == GrantRow.user_id).join(Home, Home.id == GrantRow.home_id)
    query = query.join(Organization, Organization.id == Home.organization_id)
    colleagues = visible_to(principal, "users:read", organization=GrantRow.organization_id)
    return query.where(GrantRow.role == ROLE, or_(own, colleagues))


def _assigned(user_id: int) -> Select[int]:
    return select(GrantRow.id).where(GrantRow.user_id == user_id, GrantRow.role == ROLE)


def _require_manager(principal: UserPrincipal, organization_id: int, home_id: int) -> None:
    if not principal.manages((Grant(ROLE, organization_id, home_id),)):
        raise Forbidden("You may not decide which technician works there.", code="missing_scope")


async def _locked_organization(session: AsyncSession, principal: UserPrincipal, home_id: int) -> Organization:
    # As those do who change roles: neither may a membership end, nor the same assignment begin twice, meanwhile.
    query = select(Organization).join(Home).where(Home.id == home_id, homes_within(principal))
    organization = await session.scalar(query.with_for_update(of=Organization, key_share=True))
    if organization is None:
        raise no_home(home_id)
    return organization


async def _colleague(session: AsyncSession, principal: UserPrincipal, user_id: int) -> User:
    reach = visible_to(principal, "users:read", organization=GrantRow.organization_id)
    member = select(GrantRow.user_id).where(GrantRow.user_id == user_id, reach)
    user = await session.scalar(select(User).where(User.id == user_id, User.id.in_(member)))
    if user is None:
        raise NotFound(f"There is no user {user_id}.", code="user_not_found")
    return user


async def _require_technician(session: AsyncSession, user: User, organization_id: int) -> None:
    membership = _assigned(user.id).where(GrantRow.organization_id == organization_id, GrantRow.home_id.is_(None))
    if await session.scalar(membership) is None:
        raise Conflict(
            f"{user.email} is no technician of this organization; invite them as one, or change their role, first.",
            code="not_a_technician",
        )


def _deed(action: str, principal: UserPrincipal, grant: GrantRow, user: User) -> Deed:
    return Deed(
        action,
        Actor.of(principal),
        organization_id=grant.organization_id,
        object_kind="user",
        object_id=user.id,
        object_name=user.email,
        details={"role": ROLE, "home_id": grant.home_id},
    )
