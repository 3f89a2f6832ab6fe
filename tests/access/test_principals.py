"""Scope and reach are decided together, grant by grant."""

import pytest
from sqlalchemy.dialects import sqlite

from roost.access.models import GrantRow
from roost.access.principals import Grant, UserPrincipal, visible_to
from roost.access.roles import ROLES, SCOPES


def principal(*grants: Grant) -> UserPrincipal:
    return UserPrincipal(1, "a@b.c", "a", 1, grants)


def clause(who: UserPrincipal, scope: str) -> str:
    condition = visible_to(who, scope, organization=GrantRow.organization_id, home=GrantRow.home_id)
    return str(condition.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))


def test_owner_here_and_viewer_there_never_adds_up() -> None:
    who = principal(Grant("owner", 1), Grant("viewer", 2))
    assert who.has("devices:write")
    assert who.can("devices:write", 1)
    assert not who.can("devices:write", 2)
    assert who.can("devices:read", 2)
    assert not who.can("devices:read", 3)
    assert not who.can("devices:read", None)


def test_a_technician_reaches_assigned_homes_only() -> None:
    who = principal(Grant("technician", 1, 10), Grant("technician", 2, 20))
    assert who.can("devices:write", 1, 10)
    assert not who.can("devices:write", 1, 11)
    assert not who.can("devices:write", 1)
    assert not who.can("devices:write", 2, 10)
    assert who.reach("devices:read").homes == {(1, 10), (2, 20)}
    assert not principal(Grant("technician", 1)).can("devices:read", 1, 10)
    assert principal(Grant("technician", 1)).reach("devices:read").nowhere


def test_staff_reads_everywhere_and_admin_does_everything() -> None:
    staff, admin = principal(Grant("staff", None)), principal(Grant("admin", None))
    assert staff.can("devices:read", 7, 8)
    assert not staff.can("devices:write", 7)
    assert staff.can("alerts:write", None)
    assert all(admin.can(scope, 7) for scope in SCOPES)


def test_a_role_that_nobody_knows_grants_nothing() -> None:
    who = principal(Grant("wizard", 1))
    assert not who.has("devices:read")
    assert not who.can("devices:read", 1)
    assert who.scopes == []


def test_every_scope_of_the_table_is_described() -> None:
    assert {scope for role in ROLES.values() for scope in role.scopes} <= set(SCOPES)
    assert ROLES["admin"].scopes == set(SCOPES)
    assert ROLES["viewer"].scopes < ROLES["editor"].scopes < ROLES["owner"].scopes


@pytest.mark.parametrize(
    ("grants", "expected"),
    [
        ([], "0"),
        ([Grant("admin", None)], "1"),
        ([Grant("owner", 2), Grant("viewer", 1)], "grants.organization_id IN (1, 2)"),
        ([Grant("technician", 1, 10)], "grants.organization_id = 1 AND grants.home_id IN (10)"),
    ],
)
def test_the_where_clause(grants: list[Grant], expected: str) -> None:
    assert clause(principal(*grants), "devices:read") == expected
