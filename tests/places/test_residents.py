"""Residents: who lives where, what they agreed to, and the timeline that remembers it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from roost.core.clock import rfc3339
from tests.core.test_http import assert_problem
from tests.places.conftest import NOWHERE, Company, audited, ids

PROFILE: dict[str, Any] = {
    "full_name": "Ada Lovelace",
    "preferred_name": "Ada",
    "date_of_birth": "1940-12-10",
    "notes": "Sleeps late.\nLikes engines.",
    "contacts": [{"name": "Byron", "relation": "son", "phone": "+44 20 7946 0000", "email": "byron@example.org"}],
}


def timeline(company: Company, resident_id: int) -> list[tuple[str, str]]:
    """Kind and text of each line, oldest first."""
    events = company.owner.get(f"/residents/{resident_id}/events").json()
    return [(event["kind"], event["text"]) for event in reversed(events)]


def test_somebody_moves_in_and_around(company: Company) -> None:
    kitchen, cabin = company.add_room("Kitchen"), company.add_home("Cabin")
    loft = company.add_room("Loft", cabin)
    resident_id = company.add_resident(**PROFILE, room_id=kitchen)
    resident = company.owner.get(f"/residents/{resident_id}").json()
    assert resident | PROFILE == resident
    assert (resident["home_name"], resident["room_name"], resident["room_id"]) == ("Home", "Kitchen", kitchen)
    assert resident["organization_id"] == company.organization_id
    for change, home_id, room_id in (
        ({"room_id": None}, company.home_id, None),
        ({"room_id": kitchen}, company.home_id, kitchen),
        ({"home_id": cabin}, cabin, None),
        ({"home_id": company.home_id, "room_id": kitchen}, company.home_id, kitchen),
        ({"home_id": cabin, "room_id": loft}, cabin, loft),
        ({"home_id": cabin, "notes": None}, cabin, loft),
    ):
        moved = company.owner.patch(f"/residents/{resident_id}", json=change).json()
        assert (moved["home_id"], moved["room_id"]) == (home_id, room_id), change
    assert moved["notes"] is None
    assert moved["full_name"] == "Ada Lovelace"
    assert timeline(company, resident_id) == [
        ("moved_in", "Moved in: Home, Kitchen."),
        ("moved", "Moved from Home, Kitchen to Home."),
        ("moved", "Moved from Home to Home, Kitchen."),
        ("moved", "Moved from Home, Kitchen to Cabin."),
        ("moved", "Moved from Cabin to Home, Kitchen."),
        ("moved", "Moved from Home, Kitchen to Cabin, Loft."),
    ]


def test_consent_says_who_noted_it_and_when(company: Company) -> None:
    resident_id = company.add_resident()
    never = company.owner.get(f"/residents/{resident_id}").json()
    assert (never["audio_consent"], never["audio_consent_at"], never["audio_consent_by"]) == (False, None, None)
    editor = company.member("editor")
    for given in (True, True, False):
        answer = editor.patch(f"/residents/{resident_id}", json={"audio_consent": given}).json()
        assert (answer["audio_consent"], answer["audio_consent_by"]) == (given, editor.email)
        assert answer["audio_consent_at"].endswith("Z")
    events = company.owner.get(f"/residents/{resident_id}/events").json()
    said = [(event["kind"], event["author_id"], event["author_name"]) for event in events]
    who = (editor.profile["id"], editor.email)
    owner = (company.owner.profile["id"], company.owner.email)
    # Given twice is given once.
    assert said == [("consent_withdrawn", *who), ("consent_given", *who), ("moved_in", *owner)]
    for action in ("resident.consent_given", "resident.consent_withdrawn"):
        entry = audited(company.server, company.organization_id, action)[-1]
        assert (entry.actor_name, entry.object_id) == (editor.email, str(resident_id))
    agreed = company.add_resident(audio_consent=True)
    assert [kind for kind, _ in timeline(company, agreed)] == ["moved_in", "consent_given"]


def test_nobody_signs_for_somebody_else(company: Company) -> None:
    resident_id = company.add_resident()
    for forged in ("audio_consent_by", "audio_consent_at", "organization_id", "id"):
        assert_problem(company.owner.patch(f"/residents/{resident_id}", json={forged: "x"}), 422)
    for forged in ("author_id", "author_name", "kind"):
        answer = company.owner.post(f"/residents/{resident_id}/events", json={"text": "Slept well.", forged: "x"})
        assert_problem(answer, 422)


def test_notes_stand_where_they_happened(company: Company) -> None:
    resident_id = company.add_resident()
    notes = f"/residents/{resident_id}/events"
    yesterday = rfc3339(datetime.now(UTC) - timedelta(days=1))
    early = company.owner.post(notes, json={"text": "Fell, unhurt.", "occurred_at": yesterday})
    assert early.status_code == 201, early.text
    assert (early.json()["occurred_at"], early.json()["author_name"]) == (yesterday, company.owner.email)
    latest = [company.owner.post(notes, json={"text": f"Visit {number}."}).json() for number in range(3)]
    assert timeline(company, resident_id) == [
        ("note", "Fell, unhurt."),
        ("moved_in", "Moved in: Home."),
        *(("note", f"Visit {number}.") for number in range(3)),
    ]
    assert [event["text"] for event in company.owner.get(f"{notes}?kind=moved_in").json()] == ["Moved in: Home."]
    # The same in pieces.
    seen, address = [], f"{notes}?limit=2"
    while True:
        page = company.owner.get(address)
        seen += [event["id"] for event in page.json()]
        if "x-next-cursor" not in page.headers:
            break
        address = f"{notes}?limit=2&cursor={page.headers['x-next-cursor']}"
    assert seen == ids(company.owner, notes)
    assert seen[:3] == [event["id"] for event in reversed(latest)]
    tomorrow = rfc3339(datetime.now(UTC) + timedelta(days=1))
    assert_problem(company.owner.post(notes, json={"text": "Soon.", "occurred_at": tomorrow}), 422)
    assert_problem(company.owner.get(f"{notes}?kind=gossip"), 422)


def test_lists_by_home_room_and_name(company: Company) -> None:
    cabin, kitchen = company.add_home("Cabin"), company.add_room("Kitchen")
    ada = company.add_resident("Ada Lovelace", room_id=kitchen)
    bob = company.add_resident("Bob Noyce", preferred_name="Bobby_1")
    eve = company.add_resident("Eve Online", home_id=cabin)
    owner = company.owner
    assert ids(owner, "/residents") == [ada, bob, eve]
    assert ids(owner, f"/residents?organization_id={company.organization_id}&limit=2") == [ada, bob]
    assert ids(owner, f"/residents?homeId={cabin}") == ids(owner, f"/homes/{cabin}/residents") == [eve]
    assert ids(owner, f"/residents?room_id={kitchen}") == [ada]
    assert ids(owner, f"/homes/{company.home_id}/residents?room_id={kitchen}") == [ada]
    assert ids(owner, "/residents?q=love") == [ada]
    assert ids(owner, "/residents?q=Y_1") == [bob]
    here = owner.post(f"/homes/{cabin}/residents", json={"full_name": "Dan Ingalls"})
    assert (here.status_code, here.json()["home_id"]) == (201, cabin)


def test_forgotten_with_the_timeline_and_without_a_name_in_the_audit_log(company: Company) -> None:
    resident_id = company.add_resident("Grace Hopper")
    assert company.owner.delete(f"/residents/{resident_id}").status_code == 204
    for path in (f"/residents/{resident_id}", f"/residents/{resident_id}/events"):
        assert_problem(company.owner.get(path), 404, "resident_not_found")
    for action in ("resident.created", "resident.deleted"):
        entry = audited(company.server, company.organization_id, action)[-1]
        assert entry.object_id == str(resident_id)
        assert "Grace" not in str((entry.object_name, entry.details))


def test_residents_of_others_are_not_there(make_company: Callable[[], Company]) -> None:
    mine, theirs = make_company(), make_company()
    foreign, own = theirs.add_resident(), mine.add_resident()
    room, home_id = theirs.add_room(), theirs.home_id
    owner = mine.owner
    for method, path, body in (
        ("GET", f"/residents/{foreign}", None),
        ("PATCH", f"/residents/{foreign}", {"full_name": "Mine"}),
        ("DELETE", f"/residents/{foreign}", None),
        ("GET", f"/residents/{foreign}/events", None),
        ("POST", f"/residents/{foreign}/events", {"text": "Mine"}),
        ("GET", f"/homes/{home_id}/residents", None),
        ("POST", f"/homes/{home_id}/residents", {"full_name": "Spy"}),
        ("POST", "/residents", {"full_name": "Spy", "home_id": home_id}),
        ("POST", "/residents", {"full_name": "Spy", "home_id": mine.home_id, "room_id": room}),
        ("POST", "/residents", {"full_name": "Spy", "home_id": NOWHERE}),
        ("PATCH", f"/residents/{own}", {"home_id": home_id}),
        ("PATCH", f"/residents/{own}", {"room_id": room}),
    ):
        assert_problem(owner.request(method, path, json=body), 404)
    assert ids(theirs.owner, "/residents") == [foreign]
    for query in (f"home_id={home_id}", f"organization_id={theirs.organization_id}", f"room_id={room}"):
        assert ids(owner, f"/residents?{query}") == []


def test_who_may_look_and_who_may_change(company: Company) -> None:
    resident_id = company.add_resident()
    viewer, technician = company.member("viewer"), company.member("technician", (company.home_id,))
    assert viewer.get(f"/residents/{resident_id}").status_code == 200
    assert_problem(viewer.patch(f"/residents/{resident_id}", json={"notes": "x"}), 403, "missing_scope")
    assert_problem(viewer.delete(f"/residents/{resident_id}"), 403, "missing_scope")
    assert_problem(viewer.post(f"/residents/{resident_id}/events", json={"text": "x"}), 403, "missing_scope")
    somebody = {"full_name": "Bob", "home_id": company.home_id}
    assert_problem(viewer.post("/residents", json=somebody), 403, "missing_scope")
    # A technician works in homes and need not know who lives there.
    assert_problem(technician.get(f"/residents/{resident_id}"), 404, "resident_not_found")


def test_what_is_no_resident(company: Company) -> None:
    for field, value in (
        ("full_name", ""),
        ("full_name", "two\nlines"),
        ("date_of_birth", "2999-01-01"),
        ("date_of_birth", "31.12.1940"),
        ("date_of_birth", "1940-02-30"),
        ("date_of_birth", 0),
        ("notes", "nul\x00"),
        ("notes", "x" * 10_001),
        ("contacts", [{"phone": "1234"}]),
        ("contacts", [{"name": "Bo", "phone": "call me"}]),
        ("contacts", [{"name": "Bo", "email": "nobody"}]),
        ("contacts", [{"name": "Bo", "fax": "1234"}]),
        ("contacts", [{"name": "Bo"}] * 21),
        ("contacts", None),
        ("audio_consent", "yes"),
        ("audio_consent", None),
        ("home_id", None),
        ("room_id", 0),
    ):
        body = {"full_name": "Ada", "home_id": company.home_id, field: value}
        assert_problem(company.owner.post("/residents", json=body), 422)
    assert ids(company.owner, "/residents") == []


def test_a_room_of_another_home_is_a_mistake(company: Company) -> None:
    cabin, resident_id = company.add_home("Cabin"), company.add_resident()
    loft = company.add_room("Loft", cabin)
    refused = company.owner.patch(f"/residents/{resident_id}", json={"room_id": loft})
    assert_problem(refused, 422, "room_elsewhere")
    assert_problem(company.owner.patch(f"/residents/{resident_id}", json={}), 422)


def test_to_another_organization_nobody_moves(company: Company) -> None:
    # Somebody who may write in both: here, and in an organization of their own.
    consultant = company.member("owner")
    resident_id, elsewhere = company.add_resident(), ids(consultant, "/homes")[-1]
    assert elsewhere != company.home_id
    assert_problem(consultant.patch(f"/residents/{resident_id}", json={"home_id": elsewhere}), 422)
    assert ids(company.owner, "/residents") == [resident_id]
