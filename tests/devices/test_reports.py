"""What devices say about themselves, through a real server."""

import httpx2

from tests.conftest import RegisteredDevice, UserClient, register_device
from tests.waiting import wait_until


def test_a_heartbeat_brings_a_device_online(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}"
    before = user.get(f"{path}/status").json()
    assert (before["status"], before["reason"], before["cause"]) == (
        "offline", "It has never been heard.", "never_heard",
    )  # fmt: skip
    beat = client.post(f"{path}/heartbeat", headers=device.headers)
    assert beat.status_code == 200
    assert (beat.json()["status"], beat.json()["pending"]) == ("online", {"tasks": 0})
    assert beat.json()["server_time"].endswith("Z")
    assert [one["id"] for one in user.get("/devices", params={"status": "online"}).json()] == [device.id]
    after = user.get(f"{path}/status").json()
    assert (after["status"], after["last_seen_at"] is not None, after["since"] is not None) == ("online", True, True)
    read = user.get(path).json()
    assert (read["status"], read["status_cause"]) == ("online", None)
    client.post(f"{path}/status", json={"status": "offline"}, headers=device.headers)
    gone = user.get(path).json()
    assert (gone["status"], gone["status_cause"]) == ("offline", "reported")


def test_a_heartbeat_may_carry_firmware_and_status(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    path = f"/devices/{device.id}"
    told = {"firmware_version": "2.0.0", "status": "updating", "detail": "Two minutes to go"}
    assert client.post(f"{path}/heartbeat", json=told, headers=device.headers).json()["status"] == "updating"
    read = user.get(path).json()
    assert (read["firmware_version"], read["status"], read["status_reason"]) == (
        "2.0.0",
        "updating",
        "Two minutes to go",
    )


def test_its_user_may_send_a_heartbeat_for_it(user: UserClient, device: RegisteredDevice) -> None:
    assert user.post(f"/devices/{device.id}/heartbeat").json()["status"] == "online"


def test_a_device_speaks_only_for_itself(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    other = register_device(user)
    path = f"/devices/{other.id}"
    answers = [
        client.post(f"{path}/heartbeat", headers=device.headers),
        client.post(f"{path}/status", json={"status": "offline"}, headers=device.headers),
        client.get(f"{path}/status", headers=device.headers),
        client.post(f"{path}/logs", json={"message": "x"}, headers=device.headers),
        client.get(f"{path}/logs", headers=device.headers),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5


def test_a_device_reports_its_status(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}/status"
    assert (
        client.post(path, json={"status": "error", "detail": "Sensor broken"}, headers=device.headers).status_code
        == 200
    )
    status = user.get(path).json()
    assert (status["status"], status["reason"]) == ("error", "Sensor broken")
    assert client.post(path, json={"status": "offline"}, headers=device.headers).json()["status"] == "offline"
    assert client.post(path, json={"status": "fine"}, headers=device.headers).status_code == 422
    assert client.post(path, json={"status": "online"}).status_code == 401


def test_log_lines_are_there_when_the_answer_comes(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    path = f"/devices/{device.id}/logs"
    one = {"level": "error", "message": "No sensor", "timestamp": "2026-03-01T12:00:00Z"}
    assert client.post(path, json=one, headers=device.headers).json() == {"stored": 1}
    several = [{"message": "a"}, {"level": "debug", "message": "b", "timestamp": 1_772_366_400_000}]
    assert client.post(path, json=several, headers=device.headers).status_code == 201
    lines = user.get(path).json()
    assert [(line["level"], line["message"], line["source"]) for line in lines] == [
        ("debug", "b", "device"), ("info", "a", "device"), ("error", "No sensor", "device"),
    ]  # fmt: skip
    assert lines[2]["timestamp"] == lines[0]["timestamp"] == "2026-03-01T12:00:00.000Z"
    assert [line["message"] for line in user.get(path, params={"level": "warning"}).json()] == ["No sensor"]
    page = user.get(path, params={"limit": 2})
    rest = user.get(path, params={"limit": 2, "cursor": page.headers["X-Next-Cursor"]})
    assert [line["message"] for line in page.json() + rest.json()] == ["b", "a", "No sensor"]
    assert client.get(path, headers=device.headers).json() == lines


def test_log_lines_are_searched(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}/logs"
    lines = [
        {"level": "info", "message": "Valve 100% open", "timestamp": "2026-03-01T12:00:00Z"},
        {"level": "error", "message": "valve stuck", "timestamp": "2026-03-01T13:00:00Z"},
        {"level": "debug", "message": "tick", "timestamp": "2026-03-01T14:00:00Z"},
    ]
    assert client.post(path, json=lines, headers=device.headers).status_code == 201

    def found(**query: str) -> list[str]:
        answer = user.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return [line["message"] for line in answer.json()]

    assert found(q="VALVE") == ["valve stuck", "Valve 100% open"]
    assert found(q="0%") == ["Valve 100% open"]
    assert found(q="_") == []
    assert found(q="valve", level="warning") == ["valve stuck"]
    assert found(**{"from": "2026-03-01T13:00:00Z"}) == ["tick", "valve stuck"]
    assert found(to="2026-03-01T14:00:00+01:00") == ["Valve 100% open"]
    assert found(source="hub") == []
    assert user.get(path, params={"from": "yesterday"}).status_code == 422
    newest = user.get(path, params={"limit": 1}).json()[0]
    assert newest["received_at"] > newest["timestamp"] == "2026-03-01T14:00:00.000Z"


def test_log_lines_are_limited(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    path = f"/devices/{device.id}/logs"
    lines = [{"message": str(number)} for number in range(100)]
    assert client.post(path, json=[*lines, *lines], headers=device.headers).status_code == 422
    assert client.post(path, json=[], headers=device.headers).status_code == 422
    assert client.post(path, json=lines, headers=device.headers).status_code == 201
    refused = client.post(path, json=lines, headers=device.headers)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert len(user.get(path, params={"limit": 500}).json()) == 100


def test_the_hub_notes_a_pairing_in_the_log(client: httpx2.Client, user: UserClient) -> None:
    uid = f"log-{user.email[:8]}"
    client.post("/devices/hello", json={"device_uid": uid})
    code = user.post("/pairing/start", json={"device_uid": uid}).json()["pairing_code"]
    device_id = client.post("/pairing/confirm", json={"device_uid": uid, "pairing_code": code}).json()["device_id"]
    lines = wait_until(lambda: user.get(f"/devices/{device_id}/logs").json())
    assert [(line["source"], line["message"]) for line in lines] == [("hub", "The device was paired.")]
