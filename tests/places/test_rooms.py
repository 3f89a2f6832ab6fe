"""Rooms: named once in each home, and left in good order when they go."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import register_device
from tests.core.test_http import assert_problem
from tests.places.conftest import Company, audited, ids


def test_a_room_tells_what_is_in_it(company: Company) -> None:
    kitchen, attic = company.add_room("Kitchen"), company.add_room("Attic")
    register_device(company.owner, room_id=kitchen)
    company.add_resident(room_id=kitchen)
    rooms = company.owner.get(f"/homes/{company.home_id}/rooms").json()
    counts = [(room["id"], room["name"], room["device_count"], room["resident_count"]) for room in rooms]
    assert counts == [(kitchen, "Kitchen", 1, 1), (attic, "Attic", 0, 0)]
    assert company.owner.get(f"/homes/{company.home_id}/rooms/{kitchen}").json() == rooms[0]
    assert ids(company.owner, f"/devices?roomId={kitchen}") != []
    assert ids(company.owner, f"/devices?room_id={attic}") == []


def test_a_name_is_taken_once_in_each_home(company: Company) -> None:
    rooms = f"/homes/{company.home_id}/rooms"
    kitchen, attic = company.add_room("Küche"), company.add_room("Attic")
    for spelling in ("Küche", "KÜCHE", " Ku\u0308che "):
        assert_problem(company.owner.post(rooms, json={"name": spelling}), 409, "room_name_taken")
    assert_problem(company.owner.patch(f"{rooms}/{attic}", json={"name": "küche"}), 409, "room_name_taken")
    renamed = company.owner.patch(f"{rooms}/{kitchen}", json={"name": "KÜCHE"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "KÜCHE")
    company.add_room("Küche", company.add_home())


def test_at_the_same_moment_one_room_gets_the_name(company: Company) -> None:
    def make(_: int) -> int:
        return company.owner.post(f"/homes/{company.home_id}/rooms", json={"name": "Kitchen"}).status_code

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(make, range(4))) == [201, 409, 409, 409]


def test_who_and_what_was_in_a_deleted_room_stays_in_the_home(company: Company) -> None:
    room_id = company.add_room("Kitchen")
    device = register_device(company.owner, room_id=room_id)
    resident_id = company.add_resident(room_id=room_id)
    assert company.owner.delete(f"/homes/{company.home_id}/rooms/{room_id}").status_code == 204
    for path in (f"/devices/{device.id}", f"/residents/{resident_id}"):
        left = company.owner.get(path).json()
        assert (left["home_id"], left["room_id"]) == (company.home_id, None)
    newest = company.owner.get(f"/residents/{resident_id}/events").json()[0]
    assert (newest["kind"], newest["text"]) == ("moved", "Left Kitchen: the room is no more.")
    entry = audited(company.server, company.organization_id, "room.deleted")[-1]
    assert (entry.object_name, entry.details) == ("Kitchen", {"home_id": company.home_id, "devices": 1})


def test_rooms_of_others_are_not_there(make_company: Callable[[], Company]) -> None:
    mine, theirs = make_company(), make_company()
    foreign, own = theirs.add_room(), mine.add_room()
    for path in (
        f"/homes/{theirs.home_id}/rooms/{foreign}",
        f"/homes/{mine.home_id}/rooms/{foreign}",
        f"/homes/{theirs.home_id}/rooms/{own}",
        f"/homes/{mine.add_home()}/rooms/{own}",
    ):
        for method, body in (("GET", None), ("PATCH", {"name": "Mine"}), ("DELETE", None)):
            assert_problem(mine.owner.request(method, path, json=body), 404)
    assert_problem(mine.owner.get(f"/homes/{theirs.home_id}/rooms"), 404, "home_not_found")
    assert_problem(mine.owner.post(f"/homes/{theirs.home_id}/rooms", json={"name": "Mine"}), 404, "home_not_found")
    assert ids(theirs.owner, f"/homes/{theirs.home_id}/rooms") == [foreign]


def test_a_viewer_looks_only(company: Company) -> None:
    room_id = company.add_room()
    viewer, rooms = company.member("viewer"), f"/homes/{company.home_id}/rooms"
    assert ids(viewer, rooms) == [room_id]
    assert_problem(viewer.post(rooms, json={"name": "Attic"}), 403, "missing_scope")
    assert_problem(viewer.patch(f"{rooms}/{room_id}", json={"name": "Attic"}), 403, "missing_scope")
    assert_problem(viewer.delete(f"{rooms}/{room_id}"), 403, "missing_scope")
