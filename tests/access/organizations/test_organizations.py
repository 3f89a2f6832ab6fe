"""Organizations: made, renamed, deleted, and seen by nobody who does not belong to them."""

import httpx2
import pytest

from tests.access.companies import NOWHERE, Company, MakeCompany
from tests.conftest import UserClient, register_device


def test_whoever_makes_one_owns_it(company: Company) -> None:
    made = company.owner.post("/organizations", json={"name": " Harbour Works "})
    assert made.status_code == 201, made.text
    shown = made.json()
    assert (shown["name"], shown["role"], shown["member_count"]) == ("Harbour Works", "owner", 1)
    assert company.owner.get(f"/organizations/{shown['id']}").json() == shown
    assert [one["id"] for one in company.owner.get("/organizations").json()] == [company.id, shown["id"]]
    assert company.owner.get("/organizations?q=HARBOUR").json() == [shown]
    names = {one["name"]: one["role"] for one in company.owner.get("/auth/me").json()["organizations"]}
    assert names["Harbour Works"] == "owner"


def test_a_repeated_request_makes_one(company: Company) -> None:
    headers = {"Idempotency-Key": "once"}
    first, second = (company.owner.post("/organizations", json={"name": "Twice"}, headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()


def test_a_stranger_sees_nothing(make_company: MakeCompany) -> None:
    company, other = make_company(), make_company()
    assert [one["id"] for one in other.owner.get("/organizations").json()] == [other.id]
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine now"}),
        ("DELETE", "", None),
        ("GET", "/members", None),
        ("PATCH", f"/members/{company.owner.profile['id']}", {"role": "viewer"}),
        ("DELETE", f"/members/{company.owner.profile['id']}", None),
        ("POST", "/leave", None),
        ("GET", "/invitations", None),
        ("POST", "/invitations", {"email": "me@example.org", "role": "owner"}),
        ("DELETE", "/invitations/1", None),
    ):
        answer = other.owner.request(method, company.path + path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "organization_not_found"), (method, path)
        nowhere = other.owner.request(method, f"/organizations/{NOWHERE}{path}", json=body)
        # The same words, so that nobody learns which ids exist.
        assert nowhere.json()["detail"].replace(str(NOWHERE), "N") == answer.json()["detail"].replace(
            str(company.id), "N"
        )
    assert company.owner.get(company.path).json()["name"] != "Mine now"


def test_only_owners_rename_and_delete(company: Company, client: httpx2.Client) -> None:
    editor = company.member("editor")
    for somebody in (editor, company.member("viewer"), company.member("technician")):
        shown = somebody.get(company.path)
        assert shown.status_code == 200, shown.text
        assert somebody.patch(company.path, json={"name": "Ours"}).status_code == 403
        assert somebody.delete(company.path).status_code == 403
    assert editor.get(company.path).json()["member_count"] == 4
    renamed = company.owner.patch(company.path, json={"name": "Renamed"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Renamed")
    assert editor.get(company.path).json()["name"] == "Renamed"
    assert client.get(company.path).status_code == 401
    assert company.owner.patch(company.path, json={"name": "  "}).status_code == 422
    assert company.owner.patch(company.path, json={"id": 1}).status_code == 422


def test_a_deleted_organization_takes_its_devices_along(company: Company, client: httpx2.Client) -> None:
    viewer = company.member("viewer")
    device = register_device(company.owner, home_id=company.home_id)
    assert client.post("/telemetry", json={"n": 1}, headers=device.headers).status_code == 201
    assert company.owner.delete(company.path).status_code == 204
    for somebody in (company.owner, viewer):
        assert somebody.get(company.path).status_code == 404
        assert somebody.get("/auth/me").json()["organizations"] == []
    assert client.post("/telemetry", json={"n": 1}, headers=device.headers).status_code == 401
    # Its members stay users, with nothing to look at any more.
    assert viewer.get("/devices").status_code == 403


def test_those_who_run_the_hub_see_every_organization(company: Company, admin: UserClient) -> None:
    shown = admin.get(company.path).json()
    assert (shown["id"], shown["role"]) == (company.id, None)
    found, cursor = set(), ""
    while True:
        page = admin.get(f"/organizations?limit=500{cursor}")
        found |= {one["id"] for one in page.json()}
        if "X-Next-Cursor" not in page.headers:
            break
        cursor = f"&cursor={page.headers['X-Next-Cursor']}"
    assert company.id in found


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": 7}, {"name": "x" * 121}, {"name": "A", "role": "owner"}])
def test_what_is_no_organization(company: Company, body: dict[str, object]) -> None:
    assert company.owner.post("/organizations", json=body).status_code == 422
