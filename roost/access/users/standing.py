"""What must be settled before a user goes: no organization stays without an owner, and the hub not without an admin."""

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.audit.log import Actor
from roost.access.models import GrantRow, Organization, User
from roost.access.organizations import service as organizations
from roost.access.organizations.members import has_other_members, has_other_owner
from roost.access.organizations.ports import Belongings
from roost.access.users.repository import Person
from roost.core.errors import Conflict


async def prepare_deactivation(session: AsyncSession, person: Person) -> None:
    """Raises Conflict when others would be left without an owner, or everybody without an administrator."""
    await _refuse_without_administrator(session, person)
    for organization in await _owned(session, person):
        if await _leaves_others_alone(session, organization, person):
            raise _last_owner(organization)


async def prepare_removal(session: AsyncSession, belongings: Belongings, actor: Actor, person: Person) -> None:
    """The same, and what belonged to the user alone goes too, unless there are devices in it."""
    await _refuse_without_administrator(session, person)
    user_id = person.user.id
    for organization in await _owned(session, person):
        if await _leaves_others_alone(session, organization, person):
            raise _last_owner(organization)
        if await has_other_members(session, organization.id, user_id):
            continue
        if await belongings.has_devices(session, organization.id):
            raise Conflict(
                f"{organization.name!r} has devices and nobody else in it; transfer them, make somebody else an owner, "
                "or delete the organization first.",
                code="last_owner",
            )
        await organizations.dissolve(session, belongings, actor, organization)


async def refuse_last_administrator(session: AsyncSession, user_id: int) -> None:
    """Raises Conflict when nobody else who can sign in is an administrator."""
    # Locked in one order, so that two administrators cannot dismiss each other at the same moment.
    admins = select(GrantRow).where(GrantRow.role == "admin").order_by(GrantRow.id).with_for_update()
    await session.execute(admins)
    other = select(GrantRow.id).join(User, User.id == GrantRow.user_id)
    other = other.where(GrantRow.role == "admin", GrantRow.user_id != user_id, User.is_active)
    if not await session.scalar(select(exists(other))):
        raise Conflict("This is the last administrator; make somebody else one first.", code="last_admin")


async def _refuse_without_administrator(session: AsyncSession, person: Person) -> None:
    if any(grant.role == "admin" for grant in person.grants):
        await refuse_last_administrator(session, person.user.id)


async def _owned(session: AsyncSession, person: Person) -> list[Organization]:
    """The organizations that the user owns, locked, so that no other owner leaves meanwhile."""
    ids = {grant.organization_id for grant in person.grants if grant.role == "owner"}
    query = select(Organization).where(Organization.id.in_(ids)).order_by(Organization.id)
    return list(await session.scalars(query.with_for_update(key_share=True)))


async def _leaves_others_alone(session: AsyncSession, organization: Organization, person: Person) -> bool:
    user_id = person.user.id
    if await has_other_owner(session, organization.id, user_id):
        return False
    return await has_other_members(session, organization.id, user_id)


def _last_owner(organization: Organization) -> Conflict:
    return Conflict(
        f"This is the last owner of {organization.name!r}; make somebody else an owner first, or delete it.",
        code="last_owner",
    )
