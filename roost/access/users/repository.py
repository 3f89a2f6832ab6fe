"""SQL of users. Seen are those with a grant in an organization where the caller has `users:read`."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.models import GrantRow, User
from roost.access.principals import Grant, UserPrincipal, visible_to
from roost.core.errors import NotFound

READ, WRITE = "users:read", "users:write"


@dataclass(frozen=True, slots=True)
class Person:
    """A user with every grant, seen or not; who shows one filters."""

    user: User
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users are wanted; None = any. `words` are looked for in names and e-mail address, in either case."""

    words: str | None = None
    role: str | None = None
    organization_id: int | None = None
    is_active: bool | None = None


async def list_people(
    session: AsyncSession, principal: UserPrincipal, wanted: UserFilter, *, after_id: int, limit: int
) -> list[Person]:
    """At most `limit` users by id, with their grants, in two queries."""
    query = select(User).where(_visible(principal), User.id > after_id).order_by(User.id).limit(limit)
    if wanted.role is not None or wanted.organization_id is not None:
        query = query.where(_holds(principal, wanted))
    if wanted.is_active is not None:
        query = query.where(User.is_active == wanted.is_active)
    if wanted.words is not None:
        words = wanted.words.lower()
        columns = (User.username, User.email, User.full_name)
        query = query.where(or_(*(func.lower(column).contains(words, autoescape=True) for column in columns)))
    users = (await session.scalars(query)).all()
    grants = await grants_of_all(session, [user.id for user in users])
    return [Person(user, grants[user.id]) for user in users]


async def get_person(session: AsyncSession, principal: UserPrincipal, user_id: int, *, lock: bool = False) -> Person:
    """Raises NotFound when the caller may not see the user. Locked, two changes of one user wait for each other."""
    query = select(User).where(User.id == user_id, _visible(principal))
    user = await session.scalar(query.with_for_update(key_share=True) if lock else query)
    if user is None:
        raise NotFound(f"There is no user {user_id}.", code="user_not_found")
    return Person(user, (await grants_of_all(session, [user_id]))[user_id])


async def grants_of_all(session: AsyncSession, user_ids: Iterable[int]) -> dict[int, tuple[Grant, ...]]:
    """Every grant of each of these users, in one query."""
    found: dict[int, list[Grant]] = {user_id: [] for user_id in user_ids}
    query = select(GrantRow.user_id, GrantRow.role, GrantRow.organization_id, GrantRow.home_id)
    query = query.where(GrantRow.user_id.in_(sorted(found))).order_by(GrantRow.id)
    for row in await session.execute(query):
        found[row.user_id].append(Grant(row.role, row.organization_id, row.home_id))
    return {user_id: tuple(grants) for user_id, grants in found.items()}


def seen_grants(principal: UserPrincipal, grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Those of somebody's grants that the caller may know of."""
    return tuple(grant for grant in grants if principal.can(READ, grant.organization_id))


def _visible(principal: UserPrincipal) -> ColumnElement[bool]:
    if principal.reach(READ).everywhere:
        return true()
    reach = visible_to(principal, READ, organization=GrantRow.organization_id)
    return exists().where(GrantRow.user_id == User.id, reach)


def _holds(principal: UserPrincipal, wanted: UserFilter) -> ColumnElement[bool]:
    # One grant that fits altogether and that the caller may know of: a filter must not tell of other organizations.
    held = exists().where(
        GrantRow.user_id == User.id, visible_to(principal, READ, organization=GrantRow.organization_id)
    )
    if wanted.role is not None:
        held = held.where(GrantRow.role == wanted.role)
    if wanted.organization_id is not None:
        held = held.where(GrantRow.organization_id == wanted.organization_id)
    return held
