"""Homes: made, found, changed, deleted; by whom, and what becomes of what was in them."""

from collections.abc import Callable

import pytest

from tests.conftest import register_device
from tests.core.test_http import assert_problem
from tests.places.conftest import NOWHERE, Company, announced, audited, give, ids


def test_a_home_tells_what_is_in_it(company: Company) -> None:
    home_id = company.add_home("Lake house", address="Lake Road 1\n12345 Shore", timezone="Europe/Berlin")
    kitchen = company.add_room("Kitchen", home_id)
    company.add_room("Attic", home_id)
    company.add_resident(home_id=home_id, room_id=kitchen)
    for room_id in (kitchen, None, None):
        register_device(company.owner, home_id=home_id, room_id=room_id)
    home = company.owner.get(f"/homes/{home_id}").json()
    assert home["name"] == "Lake house"
    assert home["address"] == "Lake Road 1\n12345 Shore"
    assert home["timezone"] == "Europe/Berlin"
    assert home["organization_id"] == company.organization_id
    assert (home["room_count"], home["device_count"], home["resident_count"]) == (2, 3, 1)
    assert home in company.owner.get("/homes").json()
    empty = company.owner.get(f"/homes/{company.home_id}").json()
    assert (empty["room_count"], empty["device_count"], empty["resident_count"]) == (0, 0, 0)


def test_a_change_leaves_what_is_not_given(company: Company) -> None:
    home_id = company.add_home("Cabin", address="Hill 1", timezone="UTC")
    changed = company.owner.patch(f"/homes/{home_id}", json={"name": "Lodge", "timezone": None}).json()
    assert (changed["name"], changed["address"], changed["timezone"]) == ("Lodge", "Hill 1", None)
    entry = audited(company.server, company.organization_id, "home.changed")[-1]
    assert entry.details == {
        "before": {"name": "Cabin", "timezone": "UTC"},
        "after": {"name": "Lodge", "timezone": None},
    }


def test_lists_are_filtered_and_paged(make_company: Callable[[], Company]) -> None:
    company, other = make_company(), make_company()
    give(company.server, company.owner.profile["id"], "viewer", other.organization_id)
    north = company.add_home("North_Star", address="Pole")
    south = company.add_home("South Star")
    owner = company.owner
    assert ids(owner, "/homes") == [company.home_id, other.home_id, north, south]
    assert ids(owner, f"/homes?organizationId={company.organization_id}") == [company.home_id, north, south]
    assert ids(owner, "/homes?q=star") == [north, south]
    assert ids(owner, "/homes?q=_") == [north]
    assert ids(owner, "/homes?q=pole") == [north]
    first = owner.get("/homes?q=star&limit=1")
    assert [home["id"] for home in first.json()] == [north]
    assert ids(owner, f"/homes?q=star&limit=1&cursor={first.headers['x-next-cursor']}") == [south]
    assert_problem(owner.get("/homes?colour=red"), 422, "unknown_query")


def test_a_deleted_home_lets_its_devices_go_and_ends_the_rest(company: Company) -> None:
    home_id = company.add_home()
    room_id = company.add_room("Kitchen", home_id)
    resident_id = company.add_resident(home_id=home_id)
    device = register_device(company.owner, home_id=home_id, room_id=room_id)
    technician = company.member("technician", (home_id, company.home_id))
    assert ids(technician, "/devices") == [device.id]
    assert company.owner.delete(f"/homes/{home_id}").status_code == 204
    left = company.owner.get(f"/devices/{device.id}").json()
    assert (left["organization_id"], left["home_id"], left["room_id"]) == (company.organization_id, None, None)
    for gone in (f"/homes/{home_id}", f"/homes/{home_id}/rooms", f"/residents/{resident_id}"):
        assert_problem(company.owner.get(gone), 404)
    assert [entry["home_id"] for entry in technician.get("/assignments").json()] == [company.home_id]
    assert ids(technician, "/devices") == []
    assert {"user_id": technician.profile["id"]} in announced(company.server, "user.grants_changed")
    entry = audited(company.server, company.organization_id, "home.deleted")[-1]
    assert (entry.object_id, entry.object_name) == (str(home_id), "Cabin")
    assert entry.details == {"devices": 1, "assignments": 1}


def test_what_a_device_sends_reaches_its_owner_after_its_home_is_gone(company: Company) -> None:
    device = register_device(company.owner, home_id=company.home_id)
    technician = company.member("technician", (company.home_id,))
    told = company.owner.post("/telemetry", json={"n": 1}, headers=device.headers | {"Authorization": ""})
    assert told.status_code == 201, told.text
    # The last home of an organization may go, too.
    assert company.owner.delete(f"/homes/{company.home_id}").status_code == 204
    assert company.owner.get("/homes").json() == []
    seen = company.owner.get("/devices/whoami", headers=device.headers | {"Authorization": ""}).json()
    assert seen["home_id"] is None
    assert_problem(technician.get(f"/devices/{device.id}/readings/latest"), 404)
    assert company.owner.get(f"/devices/{device.id}/readings/latest").status_code == 200
    again = company.owner.post("/devices", json={"name": "lamp"})
    assert (again.status_code, again.json()["home_id"]) == (201, None)


def test_homes_of_others_are_not_there(make_company: Callable[[], Company]) -> None:
    mine, theirs = make_company(), make_company()
    for method, body in (("GET", None), ("PATCH", {"name": "Mine"}), ("DELETE", None)):
        for home_id in (theirs.home_id, NOWHERE):
            answer = mine.owner.request(method, f"/homes/{home_id}", json=body)
            problem = assert_problem(answer, 404, "home_not_found")
            assert problem["detail"] == f"There is no home {home_id}."
    assert theirs.owner.get(f"/homes/{theirs.home_id}").json()["name"] == "Home"


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [("viewer", 200, 403), ("staff", 200, 403), ("editor", 200, 200), ("technician", 404, 404)],
)
def test_who_may_look_and_who_may_change(company: Company, role: str, reads: int, writes: int) -> None:
    # All of them own a home of their own besides: rights there count for nothing here.
    somebody = company.member(role, (company.home_id,) if role == "technician" else ())
    home = f"/homes/{company.home_id}"
    assert somebody.get(home).status_code == reads
    assert somebody.patch(home, json={"name": "Changed"}).status_code == writes
    assert company.owner.get(home).json()["name"] == ("Changed" if writes == 200 else "Home")


def test_an_organization_is_chosen_only_where_it_is_clear(make_company: Callable[[], Company]) -> None:
    company, other = make_company(), make_company()
    owner = company.owner
    made = owner.post("/homes", json={"name": "Cabin"})
    assert (made.status_code, made.json()["organization_id"]) == (201, company.organization_id)
    for unknown in (other.organization_id, NOWHERE):
        refused = owner.post("/homes", json={"name": "Cabin", "organization_id": unknown})
        assert_problem(refused, 404, "organization_not_found")
    viewer = company.member("viewer")
    refused = viewer.post("/homes", json={"name": "Cabin", "organization_id": company.organization_id})
    assert_problem(refused, 403, "missing_scope")
    give(company.server, owner.profile["id"], "editor", other.organization_id)
    for path, body in (("/homes", {"name": "Cabin"}), ("/devices", {"name": "lamp"})):
        problem = assert_problem(owner.post(path, json=body), 422)
        assert [error["pointer"] for error in problem["errors"]] == ["/organization_id"]  # type: ignore[attr-defined]
        told = owner.post(path, json={**body, "organization_id": other.organization_id})
        assert (told.status_code, told.json()["organization_id"]) == (201, other.organization_id)


def test_a_repeated_request_makes_one_home(company: Company) -> None:
    before = len(ids(company.owner, "/homes"))
    answers = [
        company.owner.post("/homes", json={"name": "Cabin"}, headers={"Idempotency-Key": "cabin"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len(ids(company.owner, "/homes")) == before + 1


def test_what_is_no_home(company: Company) -> None:
    bodies: list[dict[str, object]] = [
        {},
        {"name": " "},
        {"name": "line\nbreak"},
        {"name": "x" * 121},
        {"name": "\ufdfa" * 120},
        {"name": None},
        {"name": "Cabin", "address": " "},
        {"name": "Cabin", "address": "nul\x00"},
        {"name": "Cabin", "timezone": "Middle/Earth"},
        {"name": "Cabin", "timezone": "../../etc/passwd"},
        {"name": "Cabin", "owner": 1},
        {"name": "Cabin", "organization_id": 0},
    ]
    for body in bodies:
        assert_problem(company.owner.post("/homes", json=body), 422)
        assert_problem(company.owner.patch(f"/homes/{company.home_id}", json=body), 422)
    assert [home["name"] for home in company.owner.get("/homes").json()] == ["Home"]


def test_without_a_user_there_is_nothing(company: Company) -> None:
    device = register_device(company.owner)
    for headers in ({"Authorization": ""}, {"Authorization": f"Bearer {device.token}"}):
        for path in ("/homes", f"/homes/{company.home_id}", "/residents", "/assignments", "/admin/homes"):
            assert_problem(company.owner.get(path, headers=headers), 401)
