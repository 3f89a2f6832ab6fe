"""Technicians and the homes in which they work."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import register_device
from tests.core.test_http import assert_problem
from tests.places.conftest import NOWHERE, Company, audited, give, ids


def test_a_technician_reaches_a_home_from_the_assignment_to_its_end(company: Company) -> None:
    cabin, technician = company.add_home("Cabin", address="Hill 1", timezone="UTC"), company.member("technician")
    loft = company.add_room("Loft", cabin)
    here, elsewhere = register_device(company.owner, home_id=cabin), register_device(company.owner)
    user_id = technician.profile["id"]
    assert ids(technician, "/devices") == []
    assert technician.get("/assignments").json() == []
    made = company.owner.post("/assignments", json={"user_id": user_id, "home_id": cabin})
    assert made.status_code == 201, made.text
    assert ids(technician, "/devices") == [here.id]
    assert_problem(technician.get(f"/devices/{elsewhere.id}"), 404)
    moved = technician.patch(f"/devices/{here.id}", json={"room_id": loft})
    assert (moved.status_code, moved.json()["room_id"]) == (200, loft)
    own = technician.get("/assignments").json()
    assert own == [made.json()]
    assert own[0]["user"]["email"] == technician.email
    assert own[0]["home"] == {
        "id": cabin,
        "organization_id": company.organization_id,
        "organization_name": company.owner.get("/auth/me").json()["organizations"][0]["name"],
        "name": "Cabin",
        "address": "Hill 1",
        "timezone": "UTC",
        "rooms": [{"id": loft, "name": "Loft"}],
    }
    assert company.owner.delete(f"/assignments/{own[0]['id']}").status_code == 204
    assert ids(technician, "/devices") == []
    assert technician.get("/assignments").json() == []
    for action in ("grant.given", "grant.taken"):
        entry = audited(company.server, company.organization_id, action)[-1]
        assert (entry.object_kind, entry.object_id) == ("user", str(user_id))
        assert entry.details == {"role": "technician", "home_id": cabin}


def test_the_profile_names_the_organization_once_and_the_assigned_homes(company: Company) -> None:
    cabin = company.add_home()
    technician = company.member("technician", (company.home_id, cabin))
    profile = technician.get("/auth/me").json()
    here = [entry for entry in profile["organizations"] if entry["id"] == company.organization_id]
    assert [entry["role"] for entry in here] == ["technician"]
    assert {company.home_id, cabin} <= {home["id"] for home in profile["homes"]}


def test_others_are_listed_by_filter_within_reach(make_company: Callable[[], Company]) -> None:
    company, other = make_company(), make_company()
    cabin = company.add_home()
    first, second = company.member("technician", (company.home_id, cabin)), company.member("technician", (cabin,))
    stranger = other.member("technician", (other.home_id,))
    by_user = ids(company.owner, f"/assignments?user_id={first.profile['id']}")
    assert len(by_user) == 2
    in_cabin = company.owner.get(f"/assignments?homeId={cabin}").json()
    assert [entry["user_id"] for entry in in_cabin] == [first.profile["id"], second.profile["id"]]
    everything = ids(company.owner, f"/assignments?organization_id={company.organization_id}")
    assert len(everything) == 3
    assert ids(company.owner, f"/assignments?organization_id={company.organization_id}&limit=2") == everything[:2]
    assert ids(company.owner, "/assignments") == []
    # A technician looks up nobody, another organization least of all.
    assert ids(second, f"/assignments?home_id={cabin}") == [in_cabin[1]["id"]]
    for query in (f"user_id={stranger.profile['id']}", f"home_id={other.home_id}"):
        assert ids(company.owner, f"/assignments?{query}") == []


def test_who_may_assign(make_company: Callable[[], Company]) -> None:
    company, other = make_company(), make_company()
    technician, colleague = company.member("technician"), company.member("technician", (company.home_id,))
    editor, viewer, staff = company.member("editor"), company.member("viewer"), company.member("staff")
    wanted = {"user_id": technician.profile["id"], "home_id": company.home_id}
    assert_problem(viewer.post("/assignments", json=wanted), 403, "missing_scope")
    assert_problem(staff.post("/assignments", json=wanted), 403, "missing_scope")
    assert_problem(colleague.post("/assignments", json=wanted), 404, "home_not_found")
    assert_problem(other.owner.post("/assignments", json=wanted), 404, "home_not_found")
    made = editor.post("/assignments", json=wanted)
    assert made.status_code == 201, made.text
    ending = f"/assignments/{made.json()['id']}"
    for somebody, status in ((viewer, 403), (technician, 403), (colleague, 404), (other.owner, 404)):
        assert_problem(somebody.delete(ending), status)
    assert editor.delete(ending).status_code == 204
    assert_problem(editor.delete(ending), 404, "assignment_not_found")


def test_who_can_be_assigned(make_company: Callable[[], Company]) -> None:
    company, other = make_company(), make_company()
    viewer, technician = company.member("viewer"), company.member("technician")
    foreign = other.member("technician", (other.home_id,))
    for user_id, status, code in (
        (foreign.profile["id"], 404, "user_not_found"),
        (NOWHERE, 404, "user_not_found"),
        (viewer.profile["id"], 409, "not_a_technician"),
    ):
        refused = company.owner.post("/assignments", json={"user_id": user_id, "home_id": company.home_id})
        assert_problem(refused, status, code)
    # Technician there, viewer here: what one is elsewhere counts for nothing.
    give(company.server, company.owner.profile["id"], "viewer", other.organization_id)
    refused = company.owner.post("/assignments", json={"user_id": foreign.profile["id"], "home_id": company.home_id})
    assert_problem(refused, 409, "not_a_technician")
    wanted = {"user_id": technician.profile["id"], "home_id": other.home_id}
    assert_problem(company.owner.post("/assignments", json=wanted), 403, "missing_scope")


def test_at_the_same_moment_one_assignment_is_made(company: Company) -> None:
    wanted = {"user_id": company.member("technician").profile["id"], "home_id": company.home_id}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: company.owner.post("/assignments", json=wanted), range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "already_assigned"}
