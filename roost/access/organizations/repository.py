"""SQL of organizations. Whoever belongs to one may see it; what else is seen starts from what the caller may see."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.models import GrantRow, Organization, User
from roost.access.organizations.models import Invitation
from roost.access.principals import Grant, UserPrincipal, visible_to
from roost.core.errors import Forbidden, Invalid, NotFound


@dataclass(frozen=True, slots=True)
class Member:
    """A user with every grant that they have in one organization; there is at least one."""

    user: User
    grants: tuple[GrantRow, ...]

    @property
    def role(self) -> str:
        """The role of the membership itself; assignments to homes come on top of it."""
        return next((row for row in self.grants if row.home_id is None), self.grants[0]).role

    @property
    def home_ids(self) -> list[int]:
        return sorted(row.home_id for row in self.grants if row.home_id is not None)

    @property
    def as_granted(self) -> tuple[Grant, ...]:
        return tuple(Grant(row.role, row.organization_id, row.home_id) for row in self.grants)


def _visible(principal: UserPrincipal) -> ColumnElement[bool]:
    reach = visible_to(principal, "organization:read", organization=Organization.id)
    return or_(Organization.id.in_(principal.organization_ids), reach)


async def list_organizations(
    session: AsyncSession, principal: UserPrincipal, *, words: str | None, after_id: int, limit: int
) -> Sequence[Organization]:
    """At most `limit` organizations by id."""
    query = select(Organization).where(_visible(principal), Organization.id > after_id)
    if words is not None:
        query = query.where(func.lower(Organization.name).contains(words.lower(), autoescape=True))
    return (await session.scalars(query.order_by(Organization.id).limit(limit))).all()


async def get_organization(
    session: AsyncSession, principal: UserPrincipal, organization_id: int, *, lock: bool = False
) -> Organization:
    """Raises NotFound when the caller may not see it. Locked, its members cannot change meanwhile."""
    query = select(Organization).where(Organization.id == organization_id, _visible(principal))
    organization = await session.scalar(query.with_for_update(key_share=True) if lock else query)
    if organization is None:
        raise no_organization(organization_id)
    return organization


async def get_organization_with(
    session: AsyncSession, principal: UserPrincipal, organization_id: int, scope: str, *, lock: bool = False
) -> Organization:
    """As `get_organization`, and Forbidden when the caller sees it but has not this scope in it."""
    organization = await get_organization(session, principal, organization_id, lock=lock)
    if not principal.can(scope, organization_id):
        raise Forbidden(f"In this organization your role does not include {scope}.", code="missing_scope")
    return organization


async def count_members(session: AsyncSession, organization_ids: Iterable[int]) -> dict[int, int]:
    """How many users belong to each."""
    query = select(GrantRow.organization_id, func.count(GrantRow.user_id.distinct()))
    query = query.where(GrantRow.organization_id.in_(sorted(organization_ids))).group_by(GrantRow.organization_id)
    return {organization_id: count for organization_id, count in await session.execute(query) if organization_id}


async def list_members(
    session: AsyncSession, organization_id: int, *, role: str | None, after_id: int, limit: int
) -> list[Member]:
    """At most `limit` members by user id, in two queries."""
    belonging = select(GrantRow.user_id).where(GrantRow.organization_id == organization_id)
    if role is not None:
        belonging = belonging.where(GrantRow.role == role)
    query = select(User).where(User.id.in_(belonging), User.id > after_id).order_by(User.id).limit(limit)
    users = (await session.scalars(query)).all()
    rows = select(GrantRow).where(GrantRow.organization_id == organization_id)
    rows = rows.where(GrantRow.user_id.in_([user.id for user in users])).order_by(GrantRow.id)
    grants: dict[int, list[GrantRow]] = {user.id: [] for user in users}
    for row in await session.scalars(rows):
        grants[row.user_id].append(row)
    return [Member(user, tuple(grants[user.id])) for user in users]


async def find_member(session: AsyncSession, organization_id: int, user_id: int) -> Member | None:
    """Somebody who belongs to the organization."""
    rows = select(GrantRow).where(GrantRow.organization_id == organization_id, GrantRow.user_id == user_id)
    grants = tuple(await session.scalars(rows.order_by(GrantRow.id)))
    return Member(await session.get_one(User, user_id), grants) if grants else None


async def list_invitations(
    session: AsyncSession, organization_id: int, *, condition: ColumnElement[bool] | None, after_id: int, limit: int
) -> Sequence[Invitation]:
    """At most `limit` invitations by id."""
    query = select(Invitation).where(Invitation.organization_id == organization_id, Invitation.id > after_id)
    if condition is not None:
        query = query.where(condition)
    return (await session.scalars(query.order_by(Invitation.id).limit(limit))).all()


def no_organization(organization_id: int) -> NotFound:
    return NotFound(f"There is no organization {organization_id}.", code="organization_not_found")


async def choose_organization(
    session: AsyncSession, principal: UserPrincipal, scope: str, organization_id: int | None
) -> int:
    """The organization in which something new is to be: the given one, or the only one where the caller has `scope`.

    Raises NotFound for one that the caller cannot see, Forbidden without the scope there, Invalid when it is not clear
    which is meant: whatever is put into the wrong organization is seen by the wrong people.
    """
    if organization_id is not None:
        return (await get_organization_with(session, principal, organization_id, scope)).id
    reach = principal.reach(scope)
    own = sorted(reach.organizations) or [one for one in principal.organization_ids if reach.everywhere]
    if len(own) == 1:
        return own[0]
    why = "It is needed, because there are several that can be meant." if own else "It is needed."
    raise Invalid(
        "Say in which organization: organization_id is missing.",
        errors=[{"pointer": "/organization_id", "detail": why}],
    )
