"""Who is calling, and what that one may see. Scope and reach are always decided together, grant by grant."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, false, or_, true
from sqlalchemy.orm import InstrumentedAttribute

from roost.access.roles import ROLES


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, and where it counts: in an organization, in one home of it, or (both None) everywhere."""

    role: str
    organization_id: int | None
    home_id: int | None = None

    def allows(self, scope: str) -> bool:
        """Whether the role carries the scope."""
        role = ROLES.get(self.role)
        return role is not None and scope in role.scopes

    def covers(self, organization_id: int | None, home_id: int | None) -> bool:
        """Whether something in that organization (and home) is within this grant's reach."""
        role = ROLES.get(self.role)
        if role is None:
            return False
        if role.reach == "all":
            return True
        if organization_id is None or self.organization_id != organization_id:
            return False
        if role.reach == "homes" or self.home_id is not None:
            return home_id is not None and self.home_id == home_id
        return True


@dataclass(frozen=True, slots=True)
class ScopeReach:
    """Where a caller has a scope: everywhere, in whole organizations, in single (organization, home) pairs."""

    everywhere: bool
    organizations: frozenset[int]
    homes: frozenset[tuple[int, int]]

    @property
    def nowhere(self) -> bool:
        """Whether the scope counts in no place at all."""
        return not (self.everywhere or self.organizations or self.homes)

    def covers(self, organization_id: int | None, home_id: int | None = None) -> bool:
        """Whether something in that organization (and home) is within reach."""
        if self.everywhere:
            return True
        if organization_id is None:
            return False
        return organization_id in self.organizations or (organization_id, home_id) in self.homes


@dataclass(frozen=True, slots=True)
class UserPrincipal:
    """A signed-in user with the grants of this moment."""

    user_id: int
    email: str
    username: str
    session_id: int
    grants: tuple[Grant, ...]

    def has(self, scope: str) -> bool:
        """Whether the scope counts anywhere at all."""
        return any(grant.allows(scope) for grant in self.grants)

    def can(self, scope: str, organization_id: int | None, home_id: int | None = None) -> bool:
        """Whether one grant carries the scope and reaches that organization (and home)."""
        return any(grant.allows(scope) and grant.covers(organization_id, home_id) for grant in self.grants)

    def reach(self, scope: str) -> ScopeReach:
        """Where the scope counts."""
        everywhere, organizations, homes = False, set[int](), set[tuple[int, int]]()
        for grant in self.grants:
            if not grant.allows(scope):
                continue
            if ROLES[grant.role].reach == "all":
                everywhere = True
            elif grant.organization_id is None:
                continue
            elif grant.home_id is not None:
                homes.add((grant.organization_id, grant.home_id))
            elif ROLES[grant.role].reach == "organization":
                organizations.add(grant.organization_id)
        return ScopeReach(everywhere, frozenset(organizations), frozenset(homes))

    @property
    def roles(self) -> list[str]:
        """The names of the caller's roles, each once."""
        return sorted({grant.role for grant in self.grants})

    @property
    def scopes(self) -> list[str]:
        """Every scope that counts anywhere, sorted."""
        return scopes_of(self.grants)

    @property
    def organization_ids(self) -> list[int]:
        """The organizations that the caller belongs to, oldest first."""
        return sorted({grant.organization_id for grant in self.grants if grant.organization_id is not None})


def scopes_of(grants: tuple[Grant, ...]) -> list[str]:
    """Every scope that some of the grants carry, sorted."""
    return sorted({scope for grant in grants if grant.role in ROLES for scope in ROLES[grant.role].scopes})


def visible_to(
    principal: UserPrincipal,
    scope: str,
    *,
    organization: ColumnElement[int] | InstrumentedAttribute[int] | InstrumentedAttribute[int | None],
    home: ColumnElement[int] | InstrumentedAttribute[int] | InstrumentedAttribute[int | None] | None = None,
) -> ColumnElement[bool]:
    """The WHERE clause that leaves what the caller may see with `scope`: every read starts from it."""
    reach = principal.reach(scope)
    if reach.everywhere:
        return true()
    alternatives: list[ColumnElement[bool]] = []
    if reach.organizations:
        alternatives.append(organization.in_(sorted(reach.organizations)))
    if home is not None:
        alternatives += [
            and_(organization == organization_id, home == home_id) for organization_id, home_id in sorted(reach.homes)
        ]
    return or_(*alternatives) if alternatives else false()
