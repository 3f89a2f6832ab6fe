"""What people do with organizations as a whole."""

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access import accounts
from roost.access.audit.log import Actor, Deed, record
from roost.access.messages import tell_grants_changed
from roost.access.models import GrantRow, Organization
from roost.access.organizations.ports import Belongings
from roost.access.principals import UserPrincipal
from roost.core.clock import Clock


async def found(session: AsyncSession, clock: Clock, principal: UserPrincipal, name: str) -> Organization:
    """A new organization, owned by whoever makes it."""
    organization = await accounts.create_organization(session, clock, name)
    await accounts.grant(session, clock, user_id=principal.user_id, role="owner", organization_id=organization.id)
    tell_grants_changed(session, principal.user_id)
    record(session, _deed("organization.created", Actor.of(principal), organization))
    return organization


def rename(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, organization: Organization, name: str
) -> None:
    """Another name for the organization."""
    before, organization.name = organization.name, name
    organization.updated_at = clock.now()
    record(session, _deed("organization.renamed", Actor.of(principal), organization, before=before))


async def dissolve(session: AsyncSession, belongings: Belongings, actor: Actor, organization: Organization) -> None:
    """Delete the organization with its homes, devices and everything they sent. Its members stay users."""
    devices = await belongings.clear(session, organization.id)
    members = select(GrantRow.user_id).where(GrantRow.organization_id == organization.id).distinct()
    user_ids = sorted(await session.scalars(members))
    for user_id in user_ids:
        tell_grants_changed(session, user_id)
    record(session, _deed("organization.deleted", actor, organization, devices=devices, members=len(user_ids)))
    await session.execute(delete(Organization).where(Organization.id == organization.id))


def _deed(action: str, actor: Actor, organization: Organization, **details: object) -> Deed:
    return Deed(
        action,
        actor,
        organization_id=organization.id,
        object_kind="organization",
        object_id=organization.id,
        object_name=organization.name,
        details=details,
    )
