"""Registering: a user, a personal organization that the user owns, and a first home, all or nothing."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from roost.access import accounts
from roost.access.audit import addresses
from roost.access.audit.addresses import Sighting
from roost.access.audit.log import SYSTEM, Actor, Deed, record
from roost.access.models import Organization, User
from roost.core import logging as logs
from roost.core.clock import Clock
from roost.places.models import Home

FIRST_HOME = "Home"


@dataclass(frozen=True, slots=True)
class Registered:
    """What a registration made."""

    user: User
    organization: Organization
    home: Home


async def register(
    session: AsyncSession,
    clock: Clock,
    *,
    email: str,
    password_hash: str | None,
    username: str | None = None,
    full_name: str | None = None,
    organization_name: str | None = None,
) -> Registered:
    """Make somebody new, with a place of their own. Raises Conflict when the e-mail or the username is taken."""
    user = await accounts.create_user(
        session, clock, email=email, password_hash=password_hash, username=username, full_name=full_name
    )
    name = organization_name or (full_name or user.username)
    organization = await accounts.create_organization(session, clock, name)
    await accounts.grant(session, clock, user_id=user.id, role="owner", organization_id=organization.id)
    home = await create_home(session, clock, organization_id=organization.id, name=FIRST_HOME)
    await _record(session, clock, user, organization.id)
    return Registered(user, organization, home)


async def _record(session: AsyncSession, clock: Clock, user: User, organization_id: int) -> None:
    address = logs.client_address.get()
    # Whom the first start or a command makes has no address: the hub itself did it.
    actor = SYSTEM if address is None else Actor("user", user.id, user.email)
    registered = Deed(
        "user.registered", actor,
        organization_id=organization_id, object_kind="user", object_id=user.id, object_name=user.email,
    )  # fmt: skip
    record(session, registered)
    if address is not None:
        sighting = Sighting(addresses.USERS, user.id, address, actor, organization_id)
        await addresses.keep(session, clock.now(), [sighting])


async def create_home(session: AsyncSession, clock: Clock, *, organization_id: int, name: str) -> Home:
    """A new home of the organization."""
    now = clock.now()
    home = Home(organization_id=organization_id, name=name, created_at=now, updated_at=now)
    session.add(home)
    await session.flush()
    return home
