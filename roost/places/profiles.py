"""A user's own view: who they are, what they may do, where they are at home."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.authentication import grants_of
from roost.access.models import GrantRow, Organization, User
from roost.access.principals import UserPrincipal, visible_to
from roost.access.schemas import UserRead
from roost.places.models import Home
from roost.places.schemas import HomeSummary, OrganizationSummary, Profile

_MOST_HOMES = 500


async def get_profile(session: AsyncSession, user: User) -> Profile:
    """The profile of the user; of those with reach everywhere, the homes of their own organizations only."""
    grants = await grants_of(session, user.id)
    own = tuple(grant for grant in grants if grant.organization_id is not None)
    memberships = select(Organization.id, Organization.name, GrantRow.role).join(
        GrantRow, GrantRow.organization_id == Organization.id
    )
    memberships = memberships.where(GrantRow.user_id == user.id).order_by(Organization.id)
    organizations = [
        OrganizationSummary(id=row.id, name=row.name, role=row.role) for row in await session.execute(memberships)
    ]
    member = UserPrincipal(user.id, user.email, user.username, 0, own)
    within = visible_to(member, "homes:read", organization=Home.organization_id, home=Home.id)
    homes = await session.scalars(select(Home).where(within).order_by(Home.id).limit(_MOST_HOMES))
    return Profile(
        **UserRead.of(user, grants).model_dump(),
        organizations=organizations,
        homes=[
            HomeSummary(id=home.id, name=home.name, organization_id=home.organization_id, created_at=home.created_at)
            for home in homes
        ],
    )
