"""Homes and devices that go over to another organization: history and tokens stay, what others attached does not."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2
import pytest

from tests.access.companies import NOWHERE, Company, companies
from tests.colleagues import invite
from tests.conftest import RegisteredDevice, register_device
from tests.live.conftest import connect_live
from tests.roost_server import RoostServer

WS = "/api/v1/ws/live-data"


@pytest.fixture
def make_company(server: RoostServer) -> Iterator[Callable[[], Company]]:
    """Makes another organization."""
    yield from companies(server)


@pytest.fixture
def seller(make_company: Callable[[], Company]) -> Company:
    """An organization that gives something away."""
    return make_company()


@pytest.fixture
def buyer(make_company: Callable[[], Company], seller: Company) -> Company:
    """The one that gets it; the owner of the first is one here, too."""
    buying = make_company()
    token = invite(buying.owner, buying.id, "owner")
    assert seller.owner.post("/invitations/accept", json={"token": token}).status_code == 200
    return buying


def say(server: RoostServer, device: RegisteredDevice, value: int = 1) -> None:
    answer = httpx2.post(
        f"{server.url}/api/v1/telemetry", json={"n": value}, headers=device.headers, trust_env=False, verify=False
    )
    assert answer.status_code == 201, answer.text


def test_a_home_goes_over_with_all_that_is_in_it(server: RoostServer, seller: Company, buyer: Company) -> None:
    viewer, technician = seller.member("viewer"), seller.member("technician", (seller.home_id,))
    room = seller.owner.post(f"/homes/{seller.home_id}/rooms", json={"name": "Kitchen"}).json()["id"]
    device = register_device(seller.owner, home_id=seller.home_id, room_id=room)
    say(server, device, 41)
    gaining = buyer.member("viewer")
    with ExitStack() as open_sockets:
        losing = open_sockets.enter_context(connect_live(server, WS, viewer.access_token))
        winning = open_sockets.enter_context(connect_live(server, WS, gaining.access_token))
        moved = seller.owner.post(f"/homes/{seller.home_id}/transfer", json={"organization_id": buyer.id})
        assert moved.status_code == 200, moved.text
        assert moved.json() == {"organization_id": buyer.id, "home_id": seller.home_id, "device_ids": [device.id]}
        # The device notices nothing, and is heard by the right people from now on.
        say(server, device, 42)
        assert winning.receive_until("telemetry")["readings"][0]["value"] == 42
        losing.send({"type": "ping"})
        assert losing.receive() == {"type": "pong"}
    shown = gaining.get(f"/devices/{device.id}").json()
    assert (shown["organization_id"], shown["home_id"], shown["room_id"]) == (buyer.id, seller.home_id, room)
    history = gaining.get(f"/devices/{device.id}/readings?sensor_type=n").json()
    assert sorted(reading["value"] for reading in history) == [41, 42]
    for path in (f"/devices/{device.id}", f"/homes/{seller.home_id}", f"/devices/{device.id}/readings"):
        assert viewer.get(path).status_code == 404, path
    assert technician.get("/devices").json() == []
    assert technician.get("/assignments").json() == []
    assert [one["name"] for one in gaining.get(f"/homes/{seller.home_id}/rooms").json()] == ["Kitchen"]


def test_a_device_goes_over_alone(server: RoostServer, seller: Company, buyer: Company) -> None:
    device, other = (register_device(seller.owner, home_id=seller.home_id) for _ in range(2))
    path, target = f"/devices/{device.id}/transfer", {"organization_id": buyer.id}
    wrong_home = seller.owner.post(path, json=target | {"home_id": seller.home_id})
    assert (wrong_home.status_code, wrong_home.json()["code"]) == (422, "place_mismatch")
    moved = seller.owner.post(path, json=target | {"home_id": buyer.home_id})
    assert moved.json() == {"organization_id": buyer.id, "home_id": buyer.home_id, "device_ids": [device.id]}
    again = seller.owner.post(path, json=target)
    assert (again.status_code, again.json()["code"]) == (409, "already_there")
    say(server, device)
    assert buyer.owner.get(f"/devices/{device.id}").json()["home_id"] == buyer.home_id
    assert buyer.owner.get(f"/devices/{other.id}").status_code == 404
    assert seller.owner.delete(seller.path).status_code == 204
    say(server, device)


def test_both_sides_are_needed(make_company: Callable[[], Company], seller: Company, buyer: Company) -> None:
    device = register_device(seller.owner, home_id=seller.home_id)
    paths = (f"/homes/{seller.home_id}/transfer", f"/devices/{device.id}/transfer")
    editor, stranger = seller.member("editor"), make_company()
    for path in paths:
        body = {"organization_id": buyer.id}
        assert editor.post(path, json=body).status_code == 403
        assert buyer.owner.post(path, json=body).status_code == 404
        assert stranger.owner.post(path, json={"organization_id": stranger.id}).status_code == 404
        for unseen in (stranger.id, NOWHERE):
            refused = seller.owner.post(path, json={"organization_id": unseen})
            assert (refused.status_code, refused.json()["code"]) == (404, "organization_not_found")
        # Seen, but not owned: on either side.
        token = invite(stranger.owner, stranger.id, "editor")
        seller.owner.post("/invitations/accept", json={"token": token})
        assert seller.owner.post(path, json={"organization_id": stranger.id}).status_code == 403
        assert seller.owner.post(f"{stranger.path}/leave").status_code == 204
        assert seller.owner.post(path, json={}).status_code == 422
    shown = seller.owner.get(f"/devices/{device.id}").json()
    assert (shown["organization_id"], shown["home_id"]) == (seller.id, seller.home_id)


def test_an_editor_of_one_side_who_owns_the_other_gives_nothing_away(seller: Company, buyer: Company) -> None:
    device = register_device(seller.owner, home_id=seller.home_id)
    token = invite(seller.owner, seller.id, "editor")
    assert buyer.owner.post("/invitations/accept", json={"token": token}).status_code == 200
    refused = buyer.owner.post(f"/devices/{device.id}/transfer", json={"organization_id": buyer.id})
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert seller.owner.get(f"/devices/{device.id}").json()["organization_id"] == seller.id


def test_a_code_of_the_old_owner_ends(client: httpx2.Client, seller: Company, buyer: Company) -> None:
    uid = f"waiting-{seller.id}"
    assert client.post("/devices/hello", json={"device_uid": uid}).status_code == 200
    start = {"device_uid": uid, "home_id": seller.home_id}
    code = seller.owner.post("/pairing/start", json=start).json()["pairing_code"]
    moved = seller.owner.post(f"/homes/{seller.home_id}/transfer", json={"organization_id": buyer.id})
    assert moved.status_code == 200
    assert client.post("/pairing/confirm", json={"device_uid": uid, "pairing_code": code}).status_code == 404
