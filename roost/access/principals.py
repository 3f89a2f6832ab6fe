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

    @property
    def only_organization(self) -> int | None:
        """The organization that everything within reach belongs to; None when there are several, or none."""
        if self.everywhere:
            return None
        within = self.organizations | {organization_id for organization_id, _ in self.homes}
        return next(iter(within)) if len(within) == 1 else None

    def covers(self, organization_id: int | None, home_id: int | None = None) -> bool:
        """Whether something in that organization (and home) is within reach."""
        if self.everywhere:
            return True
        if organization_id is None:
            return False
        return organization_id in self.organizations or (organization_id, home_id) in self.homes


@dataclass(frozen=True, slots=True)
class UserPrincipal:
    """A signed-in user with the grants of this moment.

    Exactly one of `session_id` and `api_token_id` is set. An API token narrows every grant to `allowed_scopes` and, if
    `only_organization_id` is set, to what happens in that organization; it never adds to what its user may do.
    """

    user_id: int
    email: str
    username: str
    session_id: int | None
    grants: tuple[Grant, ...]
    api_token_id: int | None = None
    allowed_scopes: frozenset[str] | None = None
    only_organization_id: int | None = None

    def has(self, scope: str) -> bool:
        """Whether the scope counts anywhere at all."""
        return self._permits(scope) and any(grant.allows(scope) for grant in self.grants)

    def can(self, scope: str, organization_id: int | None, home_id: int | None = None) -> bool:
        """Whether one grant carries the scope and reaches that organization (and home)."""
        if not self._permits(scope):
            return False
        if self.only_organization_id is not None and organization_id != self.only_organization_id:
            return False
        return any(grant.allows(scope) and grant.covers(organization_id, home_id) for grant in self.grants)

    def reach(self, scope: str) -> ScopeReach:
        """Where the scope counts."""
        everywhere, organizations, homes = False, set[int](), set[tuple[int, int]]()
        if not self._permits(scope):
            return ScopeReach(False, frozenset(), frozenset())
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
        only = self.only_organization_id
        if only is not None:
            if everywhere or only in organizations:
                organizations = {only}
            else:
                organizations.clear()
            homes = {(organization_id, home_id) for organization_id, home_id in homes if organization_id == only}
            everywhere = False
        return ScopeReach(everywhere, frozenset(organizations), frozenset(homes))

    def _permits(self, scope: str) -> bool:
        return self.allowed_scopes is None or scope in self.allowed_scopes

    @property
    def roles(self) -> list[str]:
        """The names of the caller's roles, each once."""
        return sorted({grant.role for grant in self.grants})

    @property
    def scopes(self) -> list[str]:
        """Every scope that counts anywhere, sorted."""
        return [scope for scope in scopes_of(self.grants) if self._permits(scope)]

    @property
    def organization_ids(self) -> list[int]:
        """The organizations that the caller belongs to, oldest first."""
        own = {grant.organization_id for grant in self.grants if grant.organization_id is not None}
        return sorted(own if self.only_organization_id is None else own & {self.only_organization_id})

    def manages(self, others: tuple[Grant, ...]) -> bool:
        """Whether the caller stands, wherever the others count, at least as high as each of them.

        Nobody changes, resets or removes a user of whose grants this is not true, nor gives a role of which it is not.
        """
        return all(self._manages(other) for other in others)

    def _manages(self, other: Grant) -> bool:
        wanted = ROLES.get(other.role)
        if wanted is None or not all(self._permits(scope) for scope in wanted.scopes):
            return False
        if self.only_organization_id is not None and other.organization_id != self.only_organization_id:
            return False
        return any(
            other.role in ROLES[own.role].manages and _encloses(own, other) for own in self.grants if own.role in ROLES
        )


def _encloses(own: Grant, other: Grant) -> bool:
    if ROLES[own.role].reach == "all":
        return True
    if ROLES[other.role].reach == "all" or own.home_id is not None:
        return False
    return own.organization_id is not None and own.organization_id == other.organization_id


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
        # A list for each organization: a term for each home made a page cost 40 ms more for somebody with 50 of them.
        homes: dict[int, list[int]] = {}
        for organization_id, home_id in sorted(reach.homes):
            homes.setdefault(organization_id, []).append(home_id)
        alternatives += [
            and_(organization == organization_id, home.in_(home_ids)) for organization_id, home_ids in homes.items()
        ]
    return or_(*alternatives) if alternatives else false()
