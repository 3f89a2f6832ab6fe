"""What people do with users: make, change, deactivate, remove. Nobody touches somebody who stands above them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access import accounts
from roost.access.audit.log import Actor, Deed, record
from roost.access.credentials.models import Challenge
from roost.access.messages import tell_deactivated, tell_grants_changed
from roost.access.models import GrantRow, User
from roost.access.names import unique_key
from roost.access.organizations.members import require_manages
from roost.access.organizations.ports import Belongings
from roost.access.principals import Grant, UserPrincipal
from roost.access.sessions import end_all_sessions
from roost.access.users.repository import Person
from roost.access.users.standing import prepare_deactivation, prepare_removal, refuse_last_administrator
from roost.core.clock import Clock
from roost.core.errors import Conflict


@dataclass(frozen=True, slots=True)
class NewUser:
    """Who is to be made; the password is hashed already, or is to be chosen by the user."""

    email: str
    password_hash: str | None
    username: str | None
    full_name: str | None
    grant: Grant


async def create(session: AsyncSession, clock: Clock, principal: UserPrincipal, new: NewUser) -> Person:
    """A new user with one grant. Raises Forbidden for a grant above one's own, Conflict when a name is taken."""
    require_manages(principal, (new.grant,))
    user = await accounts.create_user(
        session, clock, email=new.email, password_hash=new.password_hash, username=new.username, full_name=new.full_name
    )
    place = new.grant.organization_id
    await accounts.grant(session, clock, user_id=user.id, role=new.grant.role, organization_id=place)
    record(session, _deed("user.created", principal, user, place, role=new.grant.role))
    return Person(user, (new.grant,))


async def change(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, person: Person, wanted: dict[str, Any]
) -> None:
    """Set what `wanted` gives of full_name, username, email. Raises Conflict when a name is taken."""
    user = person.user
    before = {name: getattr(user, name) for name in wanted if getattr(user, name) != wanted[name]}
    if not before:
        return
    for name in {"username", "email"} & set(before):
        await _refuse_taken(session, user.id, name, wanted[name])
        setattr(user, f"{name}_key", unique_key(wanted[name]))
    for name in before:
        setattr(user, name, wanted[name])
    user.updated_at = clock.now()
    await session.flush()
    after = {name: wanted[name] for name in before}
    record(session, _deed("user.changed", principal, user, _place_of(person), before=before, after=after))


async def set_active(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, person: Person, *, active: bool
) -> None:
    """Let the user in again, or out at once: sessions, sockets, MQTT connections and API tokens end.

    Raises Conflict for oneself, the last administrator, and the last owner of an organization with other members.
    """
    user = person.user
    if user.is_active == active:
        return
    if not active:
        if user.id == principal.user_id:
            raise Conflict("You cannot deactivate yourself; ask somebody else to.", code="own_account")
        await prepare_deactivation(session, person)
        tell_deactivated(session, user.id)
        # For good: let in again, the user signs in anew. Links that were on their way are void as well.
        await end_all_sessions(session, clock, user.id)
        await session.execute(delete(Challenge).where(Challenge.user_id == user.id))
    user.is_active = active
    user.updated_at = clock.now()
    action = "user.reactivated" if active else "user.deactivated"
    record(session, _deed(action, principal, user, _place_of(person)))


async def remove(session: AsyncSession, principal: UserPrincipal, belongings: Belongings, person: Person) -> None:
    """Delete the user with everything that signs them in. Organizations in which nobody else is go with them.

    Raises Conflict for the last administrator, the last owner of an organization with other members, and the only
    member of one that has devices.
    """
    user = person.user
    await prepare_removal(session, belongings, Actor.of(principal), person)
    record(session, _deed("user.deleted", principal, user, _place_of(person)))
    await session.execute(delete(User).where(User.id == user.id))
    tell_deactivated(session, user.id)


async def set_global_role(
    session: AsyncSession, clock: Clock, principal: UserPrincipal, person: Person, role: str | None
) -> None:
    """Give the user a role that counts everywhere, in place of the one they have; None takes it away."""
    before = sorted(grant.role for grant in person.grants if grant.organization_id is None)
    after = [] if role is None else [role]
    if before == after:
        return
    if "admin" in before and role != "admin":
        await refuse_last_administrator(session, person.user.id)
    everywhere = (GrantRow.user_id == person.user.id) & GrantRow.organization_id.is_(None)
    await session.execute(delete(GrantRow).where(everywhere))
    if role is not None:
        require_manages(principal, (Grant(role, None),))
        await accounts.grant(session, clock, user_id=person.user.id, role=role, organization_id=None)
    tell_grants_changed(session, person.user.id)
    record(session, _deed("grant.changed", principal, person.user, None, before=before, after=after))


async def _refuse_taken(session: AsyncSession, user_id: int, name: str, value: str) -> None:
    key = unique_key(value)
    taken = exists().where(or_(User.email_key == key, User.username_key == key), User.id != user_id)
    if await session.scalar(select(taken)):
        what = "e-mail address" if name == "email" else "username"
        raise Conflict(f"This {what} is taken; choose another one.", code=f"{name}_taken")


def _place_of(person: Person) -> int | None:
    """The organization in whose audit log it belongs: the only one that the user is in."""
    places = {grant.organization_id for grant in person.grants}
    return places.pop() if len(places) == 1 else None


def _deed(action: str, principal: UserPrincipal, user: User, place: int | None, **details: object) -> Deed:
    return Deed(
        action,
        Actor.of(principal),
        organization_id=place,
        object_kind="user",
        object_id=user.id,
        object_name=user.email,
        details=details,
    )
