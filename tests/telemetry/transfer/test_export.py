"""`GET /analytics/export`: whatever somebody may read, as a file, on each database."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer

START = 1_790_000_000_000
SENT = [
    {"payload": {"temp_c": 21.5, "count": 3, "ok": True}, "ts": START},
    {"payload": {"temp_c": -0.5}, "ts": START + 1000},
    {"payload": {"temp_c": 22.0}, "ts": START + 1000},
    {"payload": {"temp_c": 22.0}, "ts": START + 1000},
    {"payload": {"temp_c": 23.25, "=cmd": 1}, "ts": START + 2000},
]
# One line for each reading that is kept: device, series, seconds after the start, value.
EXPECTED = [
    ("count", 0, "3"), ("ok", 0, "true"), ("temp_c", 0, "21.5"), ("temp_c", 1, "-0.5"), ("temp_c", 1, "22.0"),
    ("=cmd", 2, "1"), ("temp_c", 2, "23.25"),
]  # fmt: skip


@pytest.fixture
def devices(user: UserClient) -> list[RegisteredDevice]:
    made = [register_device(user) for _ in range(3)]
    for device in made[:2]:
        send(user, device, SENT)
    return made


def send(user: httpx2.Client, device: RegisteredDevice, messages: list[dict[str, Any]]) -> None:
    for at, message in enumerate(messages):
        answer = user.post("/telemetry", json=[message], headers={"X-Device-Token": device.token})
        assert answer.status_code == 201, (at, answer.text)


def export(user: httpx2.Client, **asked: Any) -> httpx2.Response:
    answer = user.get("/analytics/export", params=asked)
    assert answer.status_code == 200, answer.text
    return answer


def as_lines(device: RegisteredDevice) -> list[str]:
    cells = {"=cmd": "'=cmd"}
    return [
        f"{device.id},{device.uid},{cells.get(key, key)},2026-09-21T14:13:{20 + second}.000Z,{value},"
        for key, second, value in EXPECTED
    ]


def test_all_readings_as_csv(user: UserClient, devices: list[RegisteredDevice]) -> None:
    answer = export(user)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].endswith('.csv"')
    header, *lines = answer.text.splitlines()
    assert header == "device_id,device_uid,sensor_type,time,value,unit"
    assert lines == as_lines(devices[0]) + as_lines(devices[1])


def test_the_formats_say_the_same(user: UserClient, devices: list[RegisteredDevice]) -> None:
    lines = [json.loads(line) for line in export(user, format="jsonl").text.splitlines()]
    assert [(line["device_id"], line["sensor_type"], json.dumps(line["value"])) for line in lines] == [
        (device.id, key, value) for device in devices[:2] for key, _, value in EXPECTED
    ]
    parquet = pq.read_table(io.BytesIO(export(user, format="parquet").content))
    arrow = pa.ipc.open_stream(export(user, format="arrow").content).read_all()
    assert parquet.to_pylist() == arrow.to_pylist()
    assert [row["integer"] for row in parquet.to_pylist()][:7] == [3, None, None, None, None, 1, None]
    assert [row["boolean"] for row in parquet.to_pylist()][:7] == [None, True, None, None, None, None, None]
    assert parquet.column("value").to_pylist()[:7] == [3.0, 1.0, 21.5, -0.5, 22.0, 1.0, 23.25]


def test_only_what_was_asked_for(user: UserClient, devices: list[RegisteredDevice]) -> None:
    asked = export(
        user, device_id=devices[1].id, sensor_type="temp_c", **{"from": START + 1000, "to": "2026-09-21T14:13:22Z"}
    )
    assert asked.text.splitlines()[1:] == as_lines(devices[1])[3:5]
    assert export(user, device_id=devices[2].id).text.count("\n") == 1
    home_id = user.post("/homes", json={"name": "Empty"}).json()["id"]
    assert export(user, home_id=home_id, format="jsonl").text == ""


def test_a_broken_download_goes_on_without_gap_or_copy(user: UserClient, devices: list[RegisteredDevice]) -> None:
    header, *lines = export(user).text.splitlines()
    for kept in range(1, len(lines)):
        have = list(csv.DictReader(io.StringIO("\n".join([header, *lines[:kept]]))))
        last = have[-1]
        same = sum((row["device_id"], row["time"]) == (last["device_id"], last["time"]) for row in have)
        rest = export(user, resume=f"{last['device_id']},{last['time']},{same}").text.splitlines()[1:]
        assert lines[:kept] + rest == lines, kept


def test_in_parts_of_a_few_rows(user: UserClient, devices: list[RegisteredDevice]) -> None:
    whole = export(user).text.splitlines()[1:]
    assert export(user, max_rows=4).text.splitlines()[1:] == whole[:4]
    assert export(user, max_rows=1000).text.splitlines()[1:] == whole


def test_events_as_they_were_sent(user: UserClient, device: RegisteredDevice) -> None:
    documents = [{"why": "power", "n": n, "list": [1.50]} for n in range(3)]
    send(
        user,
        device,
        [
            {"event_type": "boot", "payload": document, "ts": START + n, "message_id": f"m-{n}"}
            for n, document in enumerate(documents)
        ],
    )
    lines = [json.loads(line) for line in export(user, what="events", format="jsonl").text.splitlines()]
    assert [(line["device_uid"], line["event_type"], line["message_id"]) for line in lines] == [
        (device.uid, "boot", f"m-{n}") for n in (2, 1, 0)
    ]
    assert [line["payload"] for line in lines] == documents[::-1]
    rest = export(user, what="events", format="jsonl", resume=lines[0]["id"])
    assert [json.loads(line)["id"] for line in rest.text.splitlines()] == [lines[1]["id"], lines[2]["id"]]
    table = pq.read_table(io.BytesIO(export(user, what="events", format="parquet", max_rows=2).content)).to_pylist()
    assert [json.loads(row["payload"]) for row in table] == documents[:0:-1]
    (first, *_) = csv.DictReader(io.StringIO(export(user, what="events").text))
    assert json.loads(first["payload"]) == documents[2]
    assert export(user, what="events", format="jsonl", event_type="alarm").text == ""


def test_an_export_is_remembered(user: UserClient, devices: list[RegisteredDevice]) -> None:
    export(user, format="jsonl", device_id=devices[0].id, **{"from": START})
    organization_id = user.get("/auth/me").json()["organizations"][0]["id"]
    (entry,) = user.get(f"/organizations/{organization_id}/audit", params={"action": "telemetry.exported"}).json()
    assert entry["actor_id"] == user.profile["id"]
    assert entry["details"] == {
        "what": "readings", "format": "jsonl", "device_ids": [devices[0].id], "home_id": None,
        "from": "2026-09-21T14:13:20.000Z", "to": None,
    }  # fmt: skip


@pytest.fixture
def stranger(server: RoostServer) -> Iterator[UserClient]:
    with register_user(server) as somebody:
        yield somebody


def test_what_one_may_not_see_is_not_there(stranger: UserClient, devices: list[RegisteredDevice]) -> None:
    assert export(stranger).text.count("\n") == 1
    assert export(stranger, what="events").text.count("\n") == 1
    refused = stranger.get("/analytics/export", params={"device_id": devices[0].id})
    assert (refused.status_code, refused.json()["code"]) == (404, "device_not_found")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"format": "xlsx"}, "invalid"),
        ({"resume": "here"}, "resume_unfit"),
        ({"what": "events", "resume": "7,2026-01-31T12:00:00Z,1"}, "resume_unfit"),
        ({"what": "events", "sensor_type": "a"}, "sensor_type_unfit"),
        ({"event_type": "boot"}, "event_type_unfit"),
        ({"max_rows": 0}, "invalid"),
        ({"day": "monday"}, "unknown_query"),
    ],
)
def test_what_makes_no_sense_is_refused(user: UserClient, asked: dict[str, Any], code: str) -> None:
    answer = user.get("/analytics/export", params=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
