"""What a live socket shows, and to whom."""

import httpx2

from tests.conftest import RegisteredDevice, UserClient, register_device, register_user, sign_in_admin
from tests.live.conftest import OpenLive
from tests.roost_server import RoostServer


def send(client: httpx2.Client, device: RegisteredDevice, **message: object) -> None:
    answer = client.post("/telemetry", json=message, headers=device.headers)
    assert answer.status_code == 201, answer.text


def test_a_reading_is_seen_as_it_was_stored(
    open_live: OpenLive, user: UserClient, client: httpx2.Client, device: RegisteredDevice
) -> None:
    live = open_live(token=user.access_token)
    reading = {"sensor_type": "temp_c", "value": 21.5, "unit": "°C", "timestamp": "2026-01-31T12:00:00Z"}
    answer = client.post(f"/devices/{device.id}/readings", json={"readings": [reading]}, headers=device.headers)
    assert answer.status_code == 201, answer.text
    frame = live.receive()
    assert frame.pop("received_at").endswith("Z")
    assert frame == {
        "type": "telemetry",
        "device_id": device.id,
        "device_uid": device.uid,
        "event_type": None,
        "ts": "2026-01-31T12:00:00.000Z",
        "readings": [reading | {"timestamp": "2026-01-31T12:00:00.000Z"}],
    }
    stored = user.get(f"/devices/{device.id}/readings/latest").json()
    assert stored == frame["readings"]


def test_an_event_names_its_type_and_a_resend_is_not_shown_again(
    open_live: OpenLive, user: UserClient, client: httpx2.Client, device: RegisteredDevice
) -> None:
    live = open_live(token=user.access_token)
    for _ in range(3):
        send(client, device, event_type="boot", payload={"ok": True, "why": "power"}, message_id="boot-1")
    send(client, device, event_type="end", payload={"why": "done"})
    first, second = live.receive(), live.receive()
    assert (first["event_type"], second["event_type"]) == ("boot", "end")
    assert [(one["sensor_type"], one["value"]) for one in first["readings"]] == [("ok", True)]
    assert second["readings"] == []


def test_filters_leave_out_the_rest(
    open_live: OpenLive, user: UserClient, client: httpx2.Client, device: RegisteredDevice
) -> None:
    other = register_device(user)
    home_id = user.get(f"/devices/{device.id}").json()["home_id"]
    by_device = open_live(f"/ws/live-data?device_id={other.id}", user.access_token)
    by_home = open_live(f"/ws/live-data?homeId={home_id}", user.access_token)
    moved = user.patch(f"/devices/{other.id}", json={"home_id": None})
    assert moved.status_code == 200, moved.text
    send(client, device, payload={"n": 1})
    send(client, other, payload={"n": 2})
    send(client, device, payload={"n": 3})
    assert by_device.receive()["device_id"] == other.id
    assert [by_home.receive()["readings"][0]["value"] for _ in range(2)] == [1, 3]


def test_nothing_of_one_organization_is_seen_from_another(
    open_live: OpenLive, server: RoostServer, user: UserClient, client: httpx2.Client, device: RegisteredDevice
) -> None:
    with register_user(server) as stranger, sign_in_admin(server) as admin:
        strange = register_device(stranger)
        watching = {name: open_live(token=one.access_token) for name, one in [("user", user), ("stranger", stranger)]}
        everything = open_live(token=admin.access_token)
        send(client, device, payload={"mine": 1})
        send(client, strange, payload={"mine": 2})
        assert watching["user"].receive()["device_id"] == device.id
        assert watching["stranger"].receive()["device_id"] == strange.id
        seen = set[int]()
        while not {device.id, strange.id} <= seen:
            seen.add(everything.receive()["device_id"])


def test_a_device_that_comes_and_changes_is_seen(
    open_live: OpenLive, server: RoostServer, user: UserClient, client: httpx2.Client, device: RegisteredDevice
) -> None:
    live = open_live("/ws/device-status", user.access_token)
    send(client, device, payload={"n": 1})
    came = live.receive()
    assert came.pop("since").endswith("Z")
    assert came.pop("last_seen_at").endswith("Z")
    assert isinstance(came.pop("reason"), str)
    assert came == {"type": "status", "device_id": device.id, "status": "online", "cause": None}
    told = client.post(f"/devices/{device.id}/status", json={"status": "updating"}, headers=device.headers)
    assert told.status_code == 200, told.text
    assert live.receive()["status"] == "updating"
    with register_user(server) as stranger:
        register_device(stranger)
        other = open_live("/ws/device-status", stranger.access_token)
        client.post(f"/devices/{device.id}/status", json={"status": "online"}, headers=device.headers)
        assert live.receive()["status"] == "online"
        other.send({"type": "ping"})
        assert other.receive() == {"type": "pong"}
