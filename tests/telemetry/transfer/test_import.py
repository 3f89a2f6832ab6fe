"""`POST /analytics/import`: history comes in once, however often it is sent, on each database."""

import json
from typing import Any

import httpx2
import pytest

from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer

DAY = 24 * 3600 * 1000
LONG_AGO = 1_500_000_000_000


def reading(device: RegisteredDevice, value: Any, at: int | str = LONG_AGO, **more: Any) -> dict[str, Any]:
    return {"device_uid": device.uid, "sensor_type": "temp_c", "time": at, "value": value, **more}


def bring(user: httpx2.Client, lines: list[Any]) -> dict[str, Any]:
    body = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    answer = user.post("/analytics/import", content=body.encode(), headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def exported(user: httpx2.Client, **asked: Any) -> str:
    return user.get("/analytics/export", params={"format": "jsonl", **asked}).text


def test_history_comes_in_once(user: UserClient, device: RegisteredDevice) -> None:
    values = [21.5, 21.0, 21, True, -0.0, 2**63 - 1]
    lines = [reading(device, value, LONG_AGO + n * DAY, unit="°C") for n, value in enumerate(values)]
    assert bring(user, lines) == {"stored": 6, "known": 0, "refused": []}
    assert bring(user, lines) == {"stored": 0, "known": 6, "refused": []}
    got = [json.loads(line) for line in exported(user).splitlines()]
    assert [(repr(line["value"]), line["unit"]) for line in got] == [(repr(value), "°C") for value in values]


def test_a_file_that_went_out_comes_in_elsewhere_as_it_was(user: UserClient, server: RoostServer) -> None:
    uid = "moved-house-1"
    sent = [
        {"payload": {"a": 1, "b": 2.0}, "ts": LONG_AGO},
        {"payload": {"a": 2}, "ts": LONG_AGO},
        {"event_type": "boot", "payload": {"why": "power", "n": 3}, "ts": LONG_AGO + 5, "message_id": "m-1"},
    ]
    with register_user(server) as other:
        mine, theirs = register_device(user), register_device(other)
        for message in sent:
            assert user.post("/telemetry", json=message, headers=mine.headers).status_code == 201
        readings = exported(user).replace(mine.uid, theirs.uid)
        events = exported(user, what="events").replace(mine.uid, theirs.uid)
        assert uid not in readings
        assert bring(other, readings.splitlines())["stored"] == 4
        assert bring(other, events.splitlines())["stored"] == 1
        assert bring(other, events.splitlines()) == {"stored": 0, "known": 1, "refused": []}
        assert strip(exported(other)) == strip(exported(user))
        assert strip(exported(other, what="events")) == strip(exported(user, what="events"))


def strip(lines: str) -> list[dict[str, Any]]:
    """Without what is different on another hub."""
    own = ("id", "device_id", "device_uid", "received_at")
    return [{key: value for key, value in json.loads(line).items() if key not in own} for line in lines.splitlines()]


def test_what_a_device_sent_itself_is_known(user: UserClient, device: RegisteredDevice) -> None:
    message = {"payload": {"temp_c": 20.5, "other": 1}, "ts": LONG_AGO}
    assert user.post("/telemetry", json=message, headers=device.headers).status_code == 201
    lines = [reading(device, 20.5), reading(device, 20.75), reading(device, 20.75)]
    assert bring(user, lines) == {"stored": 1, "known": 2, "refused": []}
    assert [json.loads(line)["value"] for line in exported(user, sensor_type="temp_c").splitlines()] == [20.5, 20.75]


def test_the_newest_value_is_the_imported_one_when_that_is_newer(user: UserClient, device: RegisteredDevice) -> None:
    bring(user, [reading(device, 1)])
    assert [at["value"] for at in user.get(f"/devices/{device.id}/readings/latest").json()] == [1]
    bring(user, [reading(device, 3, LONG_AGO + 2), reading(device, 2, LONG_AGO + 1)])
    assert [at["value"] for at in user.get(f"/devices/{device.id}/readings/latest").json()] == [3]


def test_a_line_that_cannot_be_taken_is_named_and_hinders_no_other(user: UserClient, device: RegisteredDevice) -> None:
    told = bring(
        user,
        [
            reading(device, 1), "{oops", reading(device, "warm"), "", reading(device, 1, "1999-01-01T00:00:00Z"), "[]",
            {**reading(device, 1), "device_uid": "nobodys-1"}, {**reading(device, 1), "colour": "red"},
            {"device_uid": device.uid, "event_type": "boot", "payload": 1, "time": LONG_AGO}, reading(device, 2**64),
            {**reading(device, 1), "time": None}, {"sensor_type": "a"}, reading(device, 2),
        ],
    )  # fmt: skip
    assert told["stored"] == 2
    assert [refused["line"] for refused in told["refused"]] == [2, 3, 5, 6, 7, 8, 9, 10, 11, 12]
    by_line = {refused["line"]: refused["detail"] for refused in told["refused"]}
    assert "not JSON" in by_line[2]
    assert "must be a number or a boolean" in by_line[3]
    assert "no device 'nobodys-1'" in by_line[7]
    assert "'colour'" in by_line[8]


def test_only_for_devices_that_one_may_change(user: UserClient, device: RegisteredDevice, server: RoostServer) -> None:
    with register_user(server) as stranger:
        told = bring(stranger, [reading(device, 1)])
    assert (told["stored"], len(told["refused"])) == (0, 1)
    assert exported(user) == ""


def test_an_import_is_remembered(user: UserClient, device: RegisteredDevice) -> None:
    for _ in range(2):
        bring(user, [reading(device, 1)])
    organization_id = user.get("/auth/me").json()["organizations"][0]["id"]
    (entry,) = user.get(f"/organizations/{organization_id}/audit", params={"action": "telemetry.imported"}).json()
    assert entry["details"] == {"stored": 1, "known": 0, "device_ids": [device.id]}


@pytest.mark.parametrize("count", [0, 3_000])
def test_many_lines_at_once(user: UserClient, device: RegisteredDevice, count: int) -> None:
    lines = [reading(device, n, LONG_AGO + n) for n in range(count)]
    assert bring(user, lines) == {"stored": count, "known": 0, "refused": []}
    assert exported(user).count("\n") == count
