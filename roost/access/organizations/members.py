"""Who belongs to an organization, and as what: roles change, members go, and an owner always remains."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access import accounts
from roost.access.audit.log import Actor, Deed, record
from roost.access.messages import tell_grants_changed
from roost.access.models import GrantRow, User
from roost.access.organizations.ports import Belongings
from roost.access.organizations.repository import Member, find_member
from roost.access.principals import Grant, UserPrincipal
from roost.core.clock import Clock
from roost.core.errors import Conflict, Forbidden, Invalid, NotFound

TECHNICIAN = "technician"


@dataclass(frozen=True, slots=True)
class Roster:
    """The members of one organization, in the hands of one caller. The organization is locked by whoever makes it."""

    session: AsyncSession
    clock: Clock
    belongings: Belongings
    principal: UserPrincipal
    organization_id: int

    async def change_role(self, user_id: int, role: str, home_ids: list[int] | None = None) -> Member:
        """Give a member another role, and a technician these homes (None = as they are).

        Raises NotFound, Forbidden for a role above one's own, Conflict for the last owner, Invalid for homes of others.
        """
        member = await self._get(user_id)
        require_manages(self.principal, (*member.as_granted, Grant(role, self.organization_id)))
        if member.role == "owner" and role != "owner":
            await ensure_owner_remains(self.session, self.organization_id, user_id)
        if role != TECHNICIAN:
            home_ids = []
        elif home_ids is not None:
            await refuse_foreign_homes(self.session, self.belongings, self.organization_id, home_ids)
        before = {"role": member.role, "home_ids": member.home_ids}
        await self._rewrite(member, role, home_ids)
        changed = await self._get(user_id)
        after = {"role": changed.role, "home_ids": changed.home_ids}
        if before != after:
            tell_grants_changed(self.session, user_id)
            self._record("grant.changed", member.user, before=before, after=after)
        return changed

    async def set_role(self, user: User, role: str | None) -> None:
        """Make the user a member with this role, whatever they are there now; None ends it. Raises as the others."""
        if role is None:
            await self.remove(user.id)
        elif await find_member(self.session, self.organization_id, user.id) is not None:
            await self.change_role(user.id, role)
        else:
            require_manages(self.principal, (Grant(role, self.organization_id),))
            await self._grant(user.id, role)
            tell_grants_changed(self.session, user.id)
            self._record("grant.given", user, role=role)

    async def remove(self, user_id: int) -> None:
        """End a membership. Raises NotFound, Forbidden for a role above one's own, Conflict for the last owner."""
        member = await self._get(user_id)
        require_manages(self.principal, member.as_granted)
        await self._end(member, "grant.taken")

    async def leave(self) -> None:
        """End one's own membership. Raises NotFound, Conflict for the last owner."""
        await self._end(await self._get(self.principal.user_id), "organization.left")

    async def _get(self, user_id: int) -> Member:
        member = await find_member(self.session, self.organization_id, user_id)
        if member is None:
            raise NotFound(f"User {user_id} is no member of this organization.", code="member_not_found")
        return member

    async def _rewrite(self, member: Member, role: str, home_ids: list[int] | None) -> None:
        """The membership keeps its row, and so does every assignment that stays: their ids are known outside."""
        membership = [row for row in member.grants if row.home_id is None]
        if membership:
            membership[0].role = role
        else:
            await self._grant(member.user.id, role)
        superfluous = [row.id for row in membership[1:]]
        if home_ids is not None:
            superfluous += [row.id for row in member.grants if row.home_id is not None and row.home_id not in home_ids]
            for home_id in sorted(set(home_ids) - set(member.home_ids)):
                await self._grant(member.user.id, role, home_id)
        await self.session.execute(delete(GrantRow).where(GrantRow.id.in_(superfluous)))
        await self.session.flush()

    async def _grant(self, user_id: int, role: str, home_id: int | None = None) -> None:
        place = self.organization_id
        await accounts.grant(
            self.session, self.clock, user_id=user_id, role=role, organization_id=place, home_id=home_id
        )

    async def _end(self, member: Member, action: str) -> None:
        if member.role == "owner":
            await ensure_owner_remains(self.session, self.organization_id, member.user.id)
        belonging = (GrantRow.organization_id == self.organization_id) & (GrantRow.user_id == member.user.id)
        await self.session.execute(delete(GrantRow).where(belonging))
        tell_grants_changed(self.session, member.user.id)
        self._record(action, member.user, role=member.role)

    def _record(self, action: str, user: User, **details: object) -> None:
        deed = Deed(
            action,
            Actor.of(self.principal),
            organization_id=self.organization_id,
            object_kind="user",
            object_id=user.id,
            object_name=user.email,
            details=details,
        )
        record(self.session, deed)


def require_manages(principal: UserPrincipal, grants: Iterable[Grant]) -> None:
    """Raises Forbidden when the caller stands below one of the grants."""
    if not principal.manages(tuple(grants)):
        raise Forbidden("This is for somebody whose role stands at least as high.", code="exceeds_own_role")


async def ensure_owner_remains(session: AsyncSession, organization_id: int, without_user_id: int) -> None:
    """Raises Conflict when nobody else owns the organization and can sign in."""
    if not await has_other_owner(session, organization_id, without_user_id):
        raise Conflict(
            "This is the last owner of the organization; make somebody else an owner first, or delete it.",
            code="last_owner",
        )


async def has_other_owner(session: AsyncSession, organization_id: int, without_user_id: int) -> bool:
    """Whether somebody else owns the organization and can sign in."""
    other = select(GrantRow.id).join(User, User.id == GrantRow.user_id)
    other = other.where(GrantRow.organization_id == organization_id, GrantRow.role == "owner")
    other = other.where(GrantRow.home_id.is_(None), GrantRow.user_id != without_user_id, User.is_active)
    return bool(await session.scalar(select(exists(other))))


async def has_other_members(session: AsyncSession, organization_id: int, without_user_id: int) -> bool:
    """Whether anybody else belongs to the organization."""
    others = exists().where(GrantRow.organization_id == organization_id, GrantRow.user_id != without_user_id)
    return bool(await session.scalar(select(others)))


async def refuse_foreign_homes(
    session: AsyncSession, belongings: Belongings, organization_id: int, home_ids: list[int]
) -> None:
    """Raises Invalid for a home that is not the organization's, whether or not it exists."""
    missing = set(home_ids) - await belongings.homes_among(session, organization_id, home_ids)
    if missing:
        detail = f"There is no home {min(missing)} in this organization."
        raise Invalid(detail, code="home_not_found", errors=[{"pointer": "/home_ids", "detail": detail}])
