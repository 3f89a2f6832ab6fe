"""Administrators: every user and every role, and one administrator always remains."""

import httpx2
import pytest

from tests.access.companies import Company
from tests.colleagues import PASSWORD, join, sign_in
from tests.conftest import UserClient, register_device, register_user
from tests.roost_server import RoostServer


def made(admin: httpx2.Client, name: str, **fields: object) -> int:
    answer = admin.post("/admin/users", json={"email": f"{name}@example.org", "password": PASSWORD, **fields})
    assert answer.status_code == 201, answer.text
    user_id: int = answer.json()["id"]
    return user_id


def test_only_administrators(company: Company, admin: UserClient, server: RoostServer) -> None:
    made(admin, f"staff-{company.id}", role="staff")
    with sign_in(server, f"staff-{company.id}@example.org") as staff:
        for somebody in (company.owner, staff):
            for method, path, body in (
                ("GET", "/admin/users", None),
                ("POST", "/admin/users", {"email": "x@example.org", "role": "admin"}),
                ("GET", "/admin/users/1", None),
                ("PATCH", "/admin/users/1", {"is_active": False}),
                ("DELETE", "/admin/users/1", None),
            ):
                assert somebody.request(method, path, json=body).status_code == 403, (method, path)
        # Staff sees everywhere and changes nobody.
        device = register_device(company.owner, home_id=company.home_id)
        assert staff.get(f"/devices/{device.id}").status_code == 200
        assert staff.get(f"/users/{company.owner.profile['id']}").status_code == 200
        assert staff.patch(f"/users/{company.owner.profile['id']}", json={"full_name": "X"}).status_code == 403
        assert staff.delete(company.path).status_code == 403


def test_roles_everywhere(company: Company, admin: UserClient, server: RoostServer) -> None:
    email = f"rising-{company.id}"
    user_id = made(admin, email, role="viewer", organization_id=company.id)
    with sign_in(server, f"{email}@example.org") as somebody:
        assert somebody.get("/admin/users").status_code == 403
        raised = admin.patch(f"/admin/users/{user_id}", json={"role": "admin"}).json()
        assert raised["roles"] == ["admin", "viewer"]
        assert somebody.get("/admin/users").status_code == 200
        # An owner does not touch an administrator who is a member.
        assert company.owner.patch(f"/users/{user_id}", json={"is_active": False}).status_code == 403
        assert admin.patch(f"/admin/users/{user_id}", json={"role": "staff"}).json()["roles"] == ["staff", "viewer"]
        assert admin.patch(f"/admin/users/{user_id}", json={"role": None}).json()["roles"] == ["viewer"]
        assert somebody.get("/admin/users").status_code == 403
        assert admin.delete(f"/admin/users/{user_id}").status_code == 204
        assert somebody.get("/users/me").status_code == 401


def test_roles_in_organizations(company: Company, admin: UserClient, server: RoostServer) -> None:
    with register_user(server) as somebody:
        path = f"/admin/users/{somebody.profile['id']}"
        joined = admin.patch(path, json={"role": "editor", "organization_id": company.id}).json()
        assert {grant["organization_id"]: grant["role"] for grant in joined["grants"]}[company.id] == "editor"
        assert admin.patch(path, json={"role": "viewer"}).status_code == 422
        left = admin.patch(path, json={"role": None, "organization_id": company.id}).json()
        assert left["roles"] == ["owner"]
        # The only organization there is meant; and it keeps its owner.
        assert admin.patch(path, json={"role": "viewer"}).json()["code"] == "last_owner"
    viewer = company.member("viewer")
    raised = admin.patch(f"/admin/users/{viewer.profile['id']}", json={"role": "editor"})
    assert raised.json()["roles"] == ["editor"]


@pytest.mark.parametrize(
    "body",
    [
        {"role": "admin", "organization_id": 1},
        {"organization_id": 1},
        {"role": "king"},
        {"is_active": None},
        {"is_active": "no"},
        {"password": "Test1234!"},
    ],
)
def test_what_makes_no_sense(company: Company, admin: UserClient, body: dict[str, object]) -> None:
    answer = admin.patch(f"/admin/users/{company.owner.profile['id']}", json=body)
    assert answer.status_code == 422, answer.text


def test_an_administrator_remains(server: RoostServer, admin: UserClient) -> None:
    path = f"/admin/users/{admin.profile['id']}"
    for answer in (admin.patch(path, json={"role": None}), admin.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
    email = f"second-{admin.profile['id']}"
    second_id = made(admin, email, role="admin")
    with sign_in(server, f"{email}@example.org") as second:
        assert second.patch(f"/admin/users/{second_id}", json={"is_active": False}).json()["code"] == "own_account"
        assert admin.patch(f"/admin/users/{second_id}", json={"is_active": False}).status_code == 200
        # A deactivated administrator is none.
        assert admin.patch(path, json={"role": None}).json()["code"] == "last_admin"
    assert admin.delete(f"/admin/users/{second_id}").status_code == 204


def test_everybody_is_listed(company: Company, admin: UserClient, server: RoostServer) -> None:
    with join(server, company.owner, company.id, "viewer") as viewer:
        found = admin.get("/admin/users", params={"q": viewer.email}).json()
        assert [one["id"] for one in found] == [viewer.profile["id"]]
        assert found[0]["manageable"]
        assert admin.get(f"/admin/users/{viewer.profile['id']}").json() == found[0]
        only = admin.get("/admin/users", params={"role": "admin", "limit": 1}).json()
        assert only[0]["email"] == admin.email
