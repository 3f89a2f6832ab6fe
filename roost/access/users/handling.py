"""What the endpoints for members and those for administrators have in common: from a request's body to the answer."""

from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from roost.access.credentials.password_resets import PAGE
from roost.access.credentials.service import Credentials
from roost.access.dependencies import ensure_signed_in
from roost.access.models import User
from roost.access.organizations.invitations import TOO_MANY_MAILS
from roost.access.organizations.members import Roster, require_manages
from roost.access.organizations.repository import choose_organization, get_organization
from roost.access.passwords import refuse_weak
from roost.access.principals import Grant, UserPrincipal
from roost.access.roles import ROLES
from roost.access.schemas import UserRead
from roost.access.users import service
from roost.access.users.mails import send_welcome, tell_old_address
from roost.access.users.repository import (
    WRITE,
    Person,
    UserFilter,
    get_person,
    list_people,
    seen_grants,
)
from roost.access.users.schemas import (
    AdminUserCreate,
    AdminUserUpdate,
    GrantRead,
    UserCreate,
    UserCreated,
    UserEntry,
    UserUpdate,
)
from roost.core.errors import Conflict, Invalid
from roost.core.idempotency import Idempotency
from roost.core.links import app_link
from roost.core.paging import PageRequest

_FIRST_PASSWORD_WITHIN = timedelta(days=7)


async def list_entries(
    principal: UserPrincipal, session: AsyncSession, page: PageRequest, wanted: UserFilter
) -> list[UserEntry]:
    """A page of users as the caller may see them."""
    people = await list_people(session, principal, wanted, after_id=page.after_id, limit=page.limit + 1)
    return [entry(principal, person) for person in page.cut(people, lambda person: person.user.id)]


async def make_user(
    request: Request, principal: UserPrincipal, idempotency: Idempotency, wanted: UserCreate | AdminUserCreate
) -> Any:
    """Make the user and answer, or replay the answer. Without a password, with a link to choose one."""
    state = request.app.state
    password_hash = None
    if wanted.password is not None:
        refuse_weak(wanted.password, email=wanted.email, username=wanted.username or "")
        password_hash = await state.passwords.hash(wanted.password)
    else:
        # A link goes out by mail, as with an invitation.
        state.invitation_rate.check(str(principal.user_id), TOO_MANY_MAILS)
    async with state.database.write() as session:
        replay = await idempotency.replay(session, f"user:{principal.user_id}")
        if replay is not None:
            return replay
        grant = await _grant_for(session, principal, wanted)
        new = service.NewUser(wanted.email, password_hash, wanted.username, wanted.full_name, grant)
        person = await service.create(session, state.clock, principal, new)
        link = None if password_hash else await _first_password_link(request, session, principal, person.user)
        answer = entry(principal, person).model_dump()
        created = UserCreated(**answer, set_password_url=link, emailed=False)
        await idempotency.remember(session, created, secrets=["set_password_url"])
    if link is not None and state.mailer.configured:
        created.emailed = await send_welcome(state.mailer, created.email, link, by=principal.email)
        async with state.database.write() as session:
            await idempotency.remember(session, created, secrets=["set_password_url"])
    return created


async def change_user(
    request: Request, principal: UserPrincipal, user_id: int, wanted: UserUpdate | AdminUserUpdate
) -> UserEntry:
    """Change what is given; the old e-mail address hears of a new one after the commit."""
    state = request.app.state
    given = wanted.model_dump(include={"full_name", "username", "email"}, exclude_unset=True)
    if given and user_id == principal.user_id:
        # There, another e-mail address needs the password, and a script's token may not change anything.
        raise Conflict("Change your own profile at /users/me.", code="own_account")
    async with state.database.write() as session:
        person = await get_person(session, principal, user_id, lock=True)
        require_manages(principal, person.grants)
        before = person.user.email
        await service.change(session, state.clock, principal, person, given)
        if wanted.is_active is not None:
            await service.set_active(session, state.clock, principal, person, active=wanted.is_active)
        if isinstance(wanted, AdminUserUpdate):
            await _change_role(request, session, principal, person, wanted)
        answer = entry(principal, await get_person(session, principal, user_id))
    await tell_old_address(state.mailer, before, answer.email)
    return answer


async def remove_user(request: Request, principal: UserPrincipal, session: AsyncSession, user_id: int) -> None:
    """Delete the user, when the caller stands at least as high everywhere."""
    state = request.app.state
    person = await get_person(session, principal, user_id, lock=True)
    require_manages(principal, person.grants)
    if user_id == principal.user_id:
        ensure_signed_in(principal)
    await service.remove(session, principal, state.belongings, person)


def entry(principal: UserPrincipal, person: Person) -> UserEntry:
    """The user as the caller may see them."""
    user, grants = person.user, seen_grants(principal, person.grants)
    manageable = principal.has(WRITE) and principal.manages(person.grants)
    return UserEntry(
        **UserRead.of(user, grants).model_dump(),
        grants=[
            GrantRead(role=grant.role, organization_id=grant.organization_id, home_id=grant.home_id) for grant in grants
        ],
        manageable=manageable,
        has_password=user.password_hash is not None if manageable else None,
        last_sign_in_at=user.last_sign_in_at if manageable else None,
    )


async def _first_password_link(request: Request, session: AsyncSession, principal: UserPrincipal, user: User) -> str:
    # Shown to whoever made the user, so its use does not prove that the address is the user's.
    credentials: Credentials = request.app.state.credentials
    link = await credentials.password_resets.issue(
        session, user, mailed=False, offered_by=principal, lifetime=_FIRST_PASSWORD_WITHIN
    )
    return app_link(request, PAGE, link.token)


async def _grant_for(session: AsyncSession, principal: UserPrincipal, wanted: UserCreate | AdminUserCreate) -> Grant:
    if ROLES[wanted.role].reach == "all":
        if wanted.organization_id is not None:
            raise _no_organization(wanted.role)
        return Grant(wanted.role, None)
    return Grant(wanted.role, await choose_organization(session, principal, WRITE, wanted.organization_id))


async def _change_role(
    request: Request, session: AsyncSession, principal: UserPrincipal, person: Person, wanted: AdminUserUpdate
) -> None:
    given = wanted.model_fields_set
    if "role" not in given:
        if "organization_id" in given:
            raise _invalid("/role", "Say which role the user is to have in that organization, or null for none.")
        return
    clock, role = request.app.state.clock, wanted.role
    if role is not None and ROLES[role].reach == "all" and wanted.organization_id is not None:
        raise _no_organization(role)
    if wanted.organization_id is None and (role is None or ROLES[role].reach == "all"):
        await service.set_global_role(session, clock, principal, person, role)
        return
    organization_id = wanted.organization_id or _only_organization(person)
    await get_organization(session, principal, organization_id, lock=True)
    roster = Roster(session, clock, request.app.state.belongings, principal, organization_id)
    await roster.set_role(person.user, role)


def _only_organization(person: Person) -> int:
    places = {grant.organization_id for grant in person.grants if grant.organization_id is not None}
    if len(places) != 1:
        raise _invalid("/organization_id", "It is needed: the user is in none or several.")
    return places.pop()


def _no_organization(role: str) -> Invalid:
    return _invalid("/organization_id", f"The role {role} counts everywhere; leave organization_id out.")


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[{"pointer": pointer, "detail": detail}])
