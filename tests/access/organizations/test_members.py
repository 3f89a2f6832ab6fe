"""Members: who sees them, who changes their roles, and that an owner always remains."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.access.companies import Company, MakeCompany
from tests.conftest import UserClient, register_device


def role_of(company: Company, somebody: UserClient) -> str:
    members = {one["user_id"]: one["role"] for one in company.owner.get(f"{company.path}/members").json()}
    role: str = members[somebody.profile["id"]]
    return role


def test_who_sees_whom(company: Company) -> None:
    viewer, technician = company.member("viewer"), company.member("technician", (company.home_id,))
    members = viewer.get(f"{company.path}/members").json()
    assert [(one["user_id"], one["role"], one["home_ids"]) for one in members] == [
        (company.owner.profile["id"], "owner", []),
        (viewer.profile["id"], "viewer", []),
        (technician.profile["id"], "technician", [company.home_id]),
    ]
    assert not any(one["manageable"] for one in members)
    assert technician.get(f"{company.path}/members").status_code == 403
    only = company.owner.get(f"{company.path}/members?role=technician&limit=1")
    assert [one["email"] for one in only.json()] == [technician.email]
    assert all(one["manageable"] for one in company.owner.get(f"{company.path}/members").json())


def test_an_editor_moves_those_who_stand_no_higher(company: Company) -> None:
    editor, other, viewer = company.member("editor"), company.member("editor"), company.member("viewer")
    assert editor.patch(company.member_path(viewer), json={"role": "editor"}).json()["role"] == "editor"
    assert editor.patch(company.member_path(other), json={"role": "viewer"}).status_code == 200
    for target, role in ((company.owner, "viewer"), (viewer, "owner"), (editor, "owner")):
        refused = editor.patch(company.member_path(target), json={"role": role})
        assert (refused.status_code, refused.json()["code"]) == (403, "exceeds_own_role")
    assert editor.delete(company.member_path(company.owner)).status_code == 403
    assert role_of(company, company.owner) == "owner"
    assert role_of(company, editor) == "editor"
    assert other.patch(company.member_path(viewer), json={"role": "viewer"}).status_code == 403
    assert editor.delete(company.member_path(other)).status_code == 204
    assert other.get(company.path).status_code == 404


def test_a_new_role_counts_at_once(company: Company) -> None:
    member = company.member("editor")
    body = {"name": "Lamp", "home_id": company.home_id}
    assert member.post("/devices", json=body).status_code == 201
    assert company.owner.patch(company.member_path(member), json={"role": "viewer"}).status_code == 200
    # With the same access token, whose `scope` still says more.
    assert member.post("/devices", json=body).status_code == 403
    assert member.get("/devices").status_code == 200


def test_a_technicians_homes(company: Company, make_company: MakeCompany) -> None:
    cabin = company.owner.post("/homes", json={"name": "Cabin"}).json()["id"]
    near = register_device(company.owner, home_id=company.home_id)
    far = register_device(company.owner, home_id=cabin)
    technician = company.member("technician", (company.home_id,))
    assert [one["id"] for one in technician.get("/devices").json()] == [near.id]
    assignment = technician.get("/assignments").json()[0]["id"]
    path = company.member_path(technician)
    both = company.owner.patch(path, json={"role": "technician", "home_ids": [cabin, company.home_id]})
    assert both.json()["home_ids"] == [company.home_id, cabin]
    assert [one["id"] for one in technician.get("/devices").json()] == [near.id, far.id]
    # The assignment that stays keeps its id.
    assert technician.get("/assignments").json()[0]["id"] == assignment
    assert company.owner.patch(path, json={"role": "technician"}).json()["home_ids"] == [company.home_id, cabin]
    foreign = make_company().home_id
    refused = company.owner.patch(path, json={"role": "technician", "home_ids": [foreign]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/home_ids")
    assert company.owner.patch(path, json={"role": "viewer", "home_ids": [cabin]}).status_code == 422
    assert company.owner.patch(path, json={"role": "viewer"}).json()["home_ids"] == []
    assert technician.get("/assignments").json() == []


def test_two_memberships_do_not_add_up(make_company: MakeCompany) -> None:
    here, there = make_company(), make_company()
    viewer, somebody = there.member("viewer"), here.owner
    token = there.owner.post(f"{there.path}/invitations", json={"email": "x@example.org", "role": "viewer"}).json()
    accepted = somebody.post("/invitations/accept", json={"token": token["accept_url"].partition("#")[2]})
    assert (accepted.status_code, accepted.json()["account_created"]) == (200, False)
    assert {one["id"]: one["role"] for one in somebody.get("/organizations").json()} == {
        here.id: "owner",
        there.id: "viewer",
    }
    assert somebody.patch(there.path, json={"name": "Mine"}).status_code == 403
    assert somebody.patch(there.member_path(viewer), json={"role": "editor"}).status_code == 403
    invitation = {"email": "y@example.org", "role": "viewer"}
    assert somebody.post(f"{there.path}/invitations", json=invitation).status_code == 403
    assert somebody.delete(f"/users/{viewer.profile['id']}").status_code == 403
    assert somebody.patch(here.path, json={"name": "Mine"}).status_code == 200


@pytest.mark.parametrize(
    "going",
    [
        lambda company: company.owner.post(f"{company.path}/leave"),
        lambda company: company.owner.delete(company.member_path(company.owner)),
        lambda company: company.owner.patch(company.member_path(company.owner), json={"role": "editor"}),
    ],
    ids=["leaves", "removes themselves", "steps down"],
)
def test_the_last_owner_stays(company: Company, going: Callable[[Company], httpx2.Response]) -> None:
    company.member("editor")
    refused = going(company)
    assert (refused.status_code, refused.json()["code"]) == (409, "last_owner")
    assert role_of(company, company.owner) == "owner"
    company.member("owner")
    assert going(company).status_code in {200, 204}


def test_a_deactivated_owner_is_no_other_owner(company: Company) -> None:
    other = company.member("owner")
    assert company.owner.patch(f"/users/{other.profile['id']}", json={"is_active": False}).status_code == 200
    assert company.owner.post(f"{company.path}/leave").status_code == 409


def test_of_two_owners_who_leave_at_once_one_stays(company: Company) -> None:
    owners = [company.owner, company.member("owner")]
    with ThreadPoolExecutor(2) as threads:
        answers = threads.map(lambda owner: owner.post(f"{company.path}/leave").status_code, owners)
    assert sorted(answers) == [204, 409]


def test_leaving(company: Company) -> None:
    viewer = company.member("viewer")
    assert viewer.post(f"{company.path}/leave").status_code == 204
    assert viewer.get("/organizations").json() == []
    assert viewer.post(f"{company.path}/leave").status_code == 404
    gone = company.owner.patch(company.member_path(viewer), json={"role": "editor"})
    assert (gone.status_code, gone.json()["code"]) == (404, "member_not_found")


def test_who_runs_the_hub_is_no_member(company: Company, admin: UserClient) -> None:
    assert admin.post(f"{company.path}/leave").json()["code"] == "member_not_found"
    assert admin.get(f"{company.path}/members").json()[0]["manageable"]


@pytest.mark.parametrize(
    "body", [{}, {"role": "admin"}, {"role": "staff"}, {"role": "king"}, {"role": "viewer", "x": 1}]
)
def test_what_is_no_role_here(company: Company, body: dict[str, object]) -> None:
    assert company.owner.patch(company.member_path(company.member("viewer")), json=body).status_code == 422
