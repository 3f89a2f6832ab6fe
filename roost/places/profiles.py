"""A user's own view: who they are, what they may do, where they are at home."""

from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.authentication import grants_of
from roost.access.models import GrantRow, Organization, User
from roost.access.principals import UserPrincipal
from roost.access.schemas import UserRead
from roost.places.models import Home
from roost.places.repository import homes_within
from roost.places.schemas import HomeSummary, OrganizationSummary, Profile

_MOST_HOMES = 500


async def get_profile(session: AsyncSession, user: User, principal: UserPrincipal | None = None) -> Profile:
    """The profile of the user; of those with reach everywhere, the homes of their own organizations only.

    With a `principal`, what that one may do: an API token shows what is left for it.
    """
    if principal is None:
        grants = await grants_of(session, user.id)
        principal = UserPrincipal(user.id, user.email, user.username, 0, grants)
    own = replace(principal, grants=tuple(grant for grant in principal.grants if grant.organization_id is not None))
    read = UserRead.of(user, principal.grants).model_dump()
    return Profile(
        **{**read, "scopes": principal.scopes},
        organizations=await _organizations(session, own),
        homes=await _homes(session, own),
        has_password=user.password_hash is not None,
    )


async def _organizations(session: AsyncSession, member: UserPrincipal) -> list[OrganizationSummary]:
    # Assignments to single homes are grants as well; the membership is the one for the whole organization.
    memberships = select(Organization.id, Organization.name, GrantRow.role).join(
        GrantRow, GrantRow.organization_id == Organization.id
    )
    memberships = memberships.where(
        GrantRow.user_id == member.user_id,
        GrantRow.home_id.is_(None),
        Organization.id.in_(member.organization_ids),
    )
    rows = await session.execute(memberships.order_by(Organization.id))
    return [OrganizationSummary(id=row.id, name=row.name, role=row.role) for row in rows]


async def _homes(session: AsyncSession, member: UserPrincipal) -> list[HomeSummary]:
    # Technicians read devices, not homes: these are the homes in which they do.
    reachable = homes_within(member, "devices:read")
    homes = await session.scalars(select(Home).where(reachable).order_by(Home.id).limit(_MOST_HOMES))
    return [
        HomeSummary(id=home.id, name=home.name, organization_id=home.organization_id, created_at=home.created_at)
        for home in homes
    ]
