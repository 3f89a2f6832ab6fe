"""Messages that are sent again: in one request, in another, after a restart, and in the middle of a long list."""

import time
from collections import Counter
from typing import Any

import httpx2
import pytest

from tests.conftest import DatabaseKind, FreshServer, RegisteredDevice, UserClient, register_device, register_user
from tests.faults.load import all_pages, read_back

MESSAGES = 60
PAGE = 7


def _send(client: httpx2.Client, device: RegisteredDevice, body: Any) -> dict[str, Any]:
    answer = client.post("/telemetry", headers=device.headers, json=body)
    assert answer.status_code == 201, answer.text
    stored: dict[str, Any] = answer.json()
    return stored


def test_the_same_message_id_in_one_request(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    message = {"payload": {"n": 1}, "message_id": "m"}
    stored = _send(client, device, [message, message, {"payload": {"n": 2}, "message_id": "m"}])
    assert (stored["count"], stored["resent"]) == (1, 2)
    assert read_back(user, device) == {1: 1}


def test_a_message_id_belongs_to_one_device(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    other = register_device(user)
    for one in (device, other):
        assert _send(client, one, {"payload": {"n": 1}, "message_id": "m"})["count"] == 1


def test_a_message_id_across_requests_and_paths(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    assert _send(client, device, {"payload": {"n": 1}, "message_id": "m"})["resent"] == 0
    again = _send(client, device, {"payload": {"n": 1}, "message_id": "m"})
    assert (again["count"], again["resent"], again["ids"]) == (0, 1, [])
    event = {"event_type": "boot", "payload": {"n": 1}, "message_id": "m"}
    assert client.post("/events", headers=device.headers, json=event).json()["resent"] == 1
    assert read_back(user, device) == {1: 1}


def test_a_message_id_across_a_restart(fresh_server: FreshServer, database_kind: DatabaseKind) -> None:
    server = fresh_server(database_kind)
    with (
        register_user(server) as user,
        httpx2.Client(base_url=f"{server.url}/api/v1", trust_env=False, verify=False) as client,
    ):
        device = register_device(user)
        _send(client, device, {"payload": {"n": 1}, "message_id": "m"})
        server.stop()
        server.start()
        assert _send(client, device, {"payload": {"n": 1}, "message_id": "m"})["resent"] == 1
        assert read_back(user, device) == {1: 1}


def test_the_same_time_with_another_value_is_another_message(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    now = int(time.time() * 1000) - 5_000
    for value in (1, 2, 2):
        _send(client, device, {"payload": {"n": value}, "ts": now})
    assert read_back(user, device) == {1: 1, 2: 1}
    assert len(user.get(f"/devices/{device.id}/telemetry/recent").json()) == 2


@pytest.mark.parametrize("filtered", [False, True])
def test_no_list_ends_early_or_repeats_because_of_resends(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice, filtered: bool
) -> None:
    """A device that had lost the answers sends everything again, then goes on: lists are as if it had not."""
    start = int(time.time() * 1000) - 60_000
    messages = [{"payload": {"n": number}, "ts": start + number} for number in range(MESSAGES)]
    for batch in (messages[:40], messages[:40], messages[10:40], messages[40:]):
        _send(client, device, batch)
    every = dict.fromkeys(range(MESSAGES), 1)
    narrow = {"sensor_type": "n"} if filtered else {}
    assert read_back(user, device, limit=str(PAGE), **narrow) == every
    listed = all_pages(user, "/telemetry", device_id=str(device.id), limit=str(PAGE))
    assert Counter(message["payload"]["n"] for message in listed) == every
    recent = user.get(f"/devices/{device.id}/telemetry/recent", params={"limit": "50"}).json()
    assert len(recent) == 50
