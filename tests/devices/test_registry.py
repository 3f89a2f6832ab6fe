"""Devices as their owners handle them, through a real server."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer


@pytest.fixture
def stranger(server: RoostServer) -> Iterator[UserClient]:
    """Somebody of another organization."""
    with register_user(server) as somebody:
        yield somebody


def test_a_registered_device_reads_as_promised(user: UserClient) -> None:
    uid = f"dev-{uuid.uuid4().hex[:8]}"
    wanted = {"name": "  Lamp ", "device_uid": uid, "type": "esp32", "tags": ["b", "a", "b"]}
    answer = user.post("/devices", json=wanted)
    assert answer.status_code == 201
    created = answer.json()
    assert created.pop("device_token").startswith("rdt_")
    assert user.get(f"/devices/{created['id']}").json() == created
    assert set(created) == {
        "id", "device_uid", "name", "type", "organization_id", "home_id", "room_id", "tags", "firmware_version",
        "capabilities", "status", "status_cause", "status_reason", "last_seen_at", "claimed_at", "created_at",
        "updated_at",
    }  # fmt: skip
    assert (created["name"], created["device_uid"], created["tags"]) == ("Lamp", uid, ["a", "b"])
    assert created["home_id"] == user.get("/users/me").json()["homes"][0]["id"]
    assert (created["status"], created["last_seen_at"]) == ("offline", None)


def test_a_uid_is_made_up_when_none_is_given(user: UserClient) -> None:
    made = user.post("/devices", json={"name": "Lamp"}).json()
    assert made["device_uid"].startswith("dev-")


def test_a_repeated_registration_makes_one_device_and_shows_its_token_once(user: UserClient) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first, again = (user.post("/devices", json={"name": "Lamp"}, headers=headers) for _ in range(2))
    assert again.json() == {**first.json(), "device_token": None}
    assert len(user.get("/devices").json()) == 1


def test_a_taken_uid_is_refused(client: httpx2.Client, user: UserClient, stranger: UserClient) -> None:
    device = register_device(user)
    answer = stranger.post("/devices", json={"name": "Mine", "device_uid": device.uid})
    assert (answer.status_code, answer.json()["code"]) == (409, "device_uid_taken")
    waiting = f"wait-{uuid.uuid4().hex[:8]}"
    client.post("/devices/hello", json={"device_uid": waiting})
    answer = stranger.post("/devices", json={"name": "Mine", "device_uid": waiting})
    assert (answer.status_code, answer.json()["code"]) == (409, "pair_instead")


def test_of_many_registrations_of_one_uid_exactly_one_wins(user: UserClient) -> None:
    wanted = {"name": "Lamp", "device_uid": f"dev-{uuid.uuid4().hex[:8]}"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: user.post("/devices", json=wanted).status_code, range(8)))
    assert sorted(answers) == [201] + [409] * 7


def test_nothing_of_another_organization_is_visible(user: UserClient, stranger: UserClient) -> None:
    device = register_device(user)
    path = f"/devices/{device.id}"
    answers = [
        stranger.get(path),
        stranger.patch(path, json={"name": "Mine"}),
        stranger.put(path, json={"name": "Mine"}),
        stranger.delete(path),
        stranger.post(f"{path}/token"),
        stranger.delete(f"{path}/token"),
        stranger.post(f"{path}/heartbeat"),
        stranger.get(f"{path}/status"),
        stranger.get(f"{path}/logs"),
        stranger.get(path.replace(str(device.id), "999999999")),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert stranger.get("/devices").json() == []
    assert [one["id"] for one in user.get("/devices").json()] == [device.id]


def test_an_unclaimed_device_is_visible_to_nobody(client: httpx2.Client, user: UserClient, admin: UserClient) -> None:
    uid = f"wait-{uuid.uuid4().hex[:8]}"
    device_id = client.post("/devices/hello", json={"device_uid": uid}).json()["device_id"]
    for somebody in (user, admin):
        assert somebody.get(f"/devices/{device_id}").status_code == 404
        assert somebody.get("/devices", params={"q": uid}).json() == []


def test_a_token_opens_only_its_own_kind_of_door(client: httpx2.Client, user: UserClient) -> None:
    device = register_device(user)
    path = f"/devices/{device.id}"
    for headers in (device.headers, {"Authorization": f"Bearer {device.token}"}):
        assert client.get("/devices", headers=headers).status_code == 401
        assert client.get(path, headers=headers).status_code == 401
        assert client.delete(path, headers=headers).status_code == 401
        assert client.post(f"{path}/token", headers=headers).status_code == 401
    refused = [
        user.get("/devices/whoami"),
        user.post(f"{path}/status", json={"status": "online"}),
        user.post(f"{path}/logs", json={"message": "x"}),
    ]
    assert [answer.status_code for answer in refused] == [401] * 3
    assert all("WWW-Authenticate" in answer.headers for answer in refused)


def test_the_list_is_filtered(user: UserClient) -> None:
    home_id = user.get("/users/me").json()["homes"][0]["id"]
    lamp = register_device(user, f"lamp-{uuid.uuid4().hex[:6]}", type="esp32", tags=["light"], home_id=home_id).id
    heater = register_device(user, f"heat-{uuid.uuid4().hex[:6]}", type="pi", tags=["warm", "light"]).id
    user.patch(f"/devices/{lamp}", json={"name": "100% Lamp_1"})
    user.patch(f"/devices/{heater}", json={"home_id": None})
    user.post(f"/devices/{lamp}/heartbeat")

    def found(**filters: str | int) -> set[int]:
        answer = user.get("/devices", params=filters)
        assert answer.status_code == 200, answer.text
        return {device["id"] for device in answer.json()}

    assert found() == {lamp, heater}
    assert found(home_id=home_id) == found(homeId=home_id) == {lamp}
    assert found(home_id=999_999) == found(room_id=1) == set()
    assert found(status="online") == {lamp}
    assert found(status="offline") == {heater}
    assert found(type="pi") == {heater}
    assert found(tag="light") == {lamp, heater}
    assert found(tag="warm") == {heater}
    assert found(q="LAMP") == found(q="100%") == found(q="p_1") == {lamp}
    assert found(q="heat-") == {heater}
    assert found(q="%%") == found(q="a%m") == set()
    assert user.get("/devices", params={"colour": "red"}).status_code == 422


def test_the_list_comes_in_pages(user: UserClient) -> None:
    ids = [register_device(user).id for _ in range(5)]
    first = user.get("/devices", params={"limit": 2})
    assert 'rel="next"' in first.headers["Link"]
    second = user.get("/devices", params={"limit": 2, "cursor": first.headers["X-Next-Cursor"]})
    third = user.get("/devices", params={"limit": 2, "cursor": second.headers["X-Next-Cursor"]})
    assert [one["id"] for page in (first, second, third) for one in page.json()] == ids
    assert "X-Next-Cursor" not in third.headers
    assert user.get("/devices", params={"cursor": "nonsense"}).status_code == 400


def test_put_sets_everything_and_patch_what_is_given(user: UserClient) -> None:
    device = register_device(user, type="esp32", tags=["a", "b"])
    path = f"/devices/{device.id}"
    patched = user.patch(path, json={"tags": ["b", "c"]}).json()
    assert (patched["name"], patched["type"], patched["tags"]) == (device.uid, "esp32", ["b", "c"])
    assert patched["updated_at"] > patched["created_at"]
    replaced = user.put(path, json={"name": "Lamp"}).json()
    assert (replaced["name"], replaced["type"], replaced["tags"], replaced["home_id"]) == ("Lamp", None, [], None)
    assert user.get(path).json() == replaced


def test_a_change_that_makes_no_sense_is_refused(user: UserClient) -> None:
    device = register_device(user)
    changes: list[dict[str, object]] = [
        {},
        {"name": ""},
        {"name": "  "},
        {"name": None},
        {"name": "a\x00b"},
        {"tags": ["x"] * 21},
        {"tags": None},
        {"status": "online"},
        {"room_id": -1},
    ]
    for change in changes:
        answer = user.patch(f"/devices/{device.id}", json=change)
        assert answer.status_code == 422, change
        assert answer.json()["errors"]


def test_a_device_moves_only_within_its_organization(user: UserClient, stranger: UserClient) -> None:
    device = register_device(user)
    home_id = user.get("/users/me").json()["homes"][0]["id"]
    assert user.patch(f"/devices/{device.id}", json={"home_id": None}).json()["home_id"] is None
    assert user.patch(f"/devices/{device.id}", json={"home_id": home_id}).json()["home_id"] == home_id
    foreign = stranger.get("/users/me").json()["homes"][0]["id"]
    assert user.patch(f"/devices/{device.id}", json={"home_id": foreign}).status_code == 404
    assert user.patch(f"/devices/{device.id}", json={"room_id": 1}).status_code == 404


def test_a_deleted_device_is_gone_with_its_token(client: httpx2.Client, user: UserClient) -> None:
    device = register_device(user)
    assert client.get("/devices/whoami", headers=device.headers).status_code == 200
    assert user.delete(f"/devices/{device.id}").status_code == 204
    assert client.get("/devices/whoami", headers=device.headers).status_code == 401
    assert user.get(f"/devices/{device.id}").status_code == 404
    assert user.delete(f"/devices/{device.id}").status_code == 404
    assert client.post("/devices/hello", json={"device_uid": device.uid}).json()["device_id"] != device.id


def test_a_token_is_rotated_with_an_overlap(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    answer = user.post(f"/devices/{device.id}/token")
    assert answer.status_code == 201
    assert answer.json()["previous_valid_until"] is not None
    new = {"X-Device-Token": answer.json()["device_token"]}
    assert client.get("/devices/whoami", headers=device.headers).status_code == 200
    assert client.get("/devices/whoami", headers=new).status_code == 200
    assert client.get("/devices/whoami", headers=device.headers).status_code == 401


def test_a_token_is_revoked_at_once(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    assert client.get("/devices/whoami", headers=device.headers).status_code == 200
    assert user.delete(f"/devices/{device.id}/token").status_code == 204
    assert client.get("/devices/whoami", headers=device.headers).status_code == 401
    answer = user.post(f"/devices/{device.id}/token").json()
    assert answer["previous_valid_until"] is None
    assert client.get("/devices/whoami", headers={"X-Device-Token": answer["device_token"]}).status_code == 200


def test_no_token_gets_into_the_log(
    server: RoostServer, client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    client.get("/devices/whoami", headers=device.headers)
    client.get("/devices/whoami", params={"token": device.token})
    assert device.token not in server.log_text()
