"""Users and their organizations: made, found, granted roles."""

import secrets

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.models import GrantRow, Organization, User
from roost.access.names import unique_key, username_from
from roost.core.clock import Clock
from roost.core.errors import Conflict


async def create_user(
    session: AsyncSession,
    clock: Clock,
    *,
    email: str,
    password_hash: str | None,
    username: str | None = None,
    full_name: str | None = None,
) -> User:
    """A new user; without a `username` one is made from the e-mail address. Raises Conflict when a name is taken.

    Without a password hash nobody can sign in with a password until one is chosen.
    """
    if await _is_taken(session, email):
        raise Conflict("There is an account with this e-mail address already; sign in instead.", code="email_taken")
    if username is None:
        username = await _free_username(session, email)
    elif await _is_taken(session, username):
        raise Conflict("This username is taken; choose another one.", code="username_taken")
    now = clock.now()
    user = User(
        username=username,
        username_key=unique_key(username),
        email=email,
        email_key=unique_key(email),
        full_name=full_name,
        password_hash=password_hash,
        is_active=True,
        created_at=now,
        updated_at=now,
    )
    session.add(user)
    await session.flush()
    return user


async def create_organization(session: AsyncSession, clock: Clock, name: str) -> Organization:
    """A new, empty organization."""
    now = clock.now()
    organization = Organization(name=name, created_at=now, updated_at=now)
    session.add(organization)
    await session.flush()
    return organization


async def grant(
    session: AsyncSession,
    clock: Clock,
    *,
    user_id: int,
    role: str,
    organization_id: int | None,
    home_id: int | None = None,
) -> None:
    """Give the user a role there."""
    session.add(
        GrantRow(user_id=user_id, role=role, organization_id=organization_id, home_id=home_id, created_at=clock.now())
    )
    await session.flush()


async def find_user_by_identifier(session: AsyncSession, identifier: str) -> User | None:
    """The user with this e-mail address or username, however it is spelled."""
    key = unique_key(identifier)
    return await session.scalar(select(User).where(or_(User.email_key == key, User.username_key == key)))


async def has_administrator(session: AsyncSession) -> bool:
    """Whether anyone holds the role `admin`."""
    return bool(await session.scalar(select(exists().where(GrantRow.role == "admin"))))


async def _is_taken(session: AsyncSession, name: str) -> bool:
    return await find_user_by_identifier(session, name) is not None


async def _free_username(session: AsyncSession, email: str) -> str:
    stem = username_from(email)
    username = stem
    while await _is_taken(session, username):
        username = f"{stem}-{secrets.randbelow(1_000_000)}"
    return username
