"""Bad telemetry over HTTP: a clear refusal, nothing stored wrongly, no traceback, and the device goes on."""

import http.client
import json
import socket
import threading
import time
from typing import Any

import httpx2
import pytest

from tests.conftest import RegisteredDevice, UserClient, register_device
from tests.roost_server import RoostServer

NOW_MS = int(time.time() * 1000)
MESSAGE_BYTES = 16 * 1024
BATCH_BYTES = 1024 * 1024
_JSON = {"Content-Type": "application/json"}


def _nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    return b'{"payload":{"a":' + opening * depth + b"1" + closing * depth + b'},"event_type":"e"}'


def _keyed(key: str) -> bytes:
    return json.dumps({key: 1}).encode()


def _timed(ts: Any) -> bytes:
    return json.dumps({"payload": {"a": 1}, "ts": ts}).encode()


REFUSED: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "spaces": (b"   ", 400),
    "not JSON": (b"temp=21", 400),
    "cut short": (b'{"a": 1', 400),
    "two documents": (b'{"a": 1}{"a": 2}', 400),
    "a byte order mark": (b'\xef\xbb\xbf{"a": 1}', 400),
    "no UTF-8": (b'{"a\xff": 1}', 400),
    "a key that is half a character": (b'{"a\\ud800": 1}', 400),
    "a text that is half a character": (b'{"event_type": "e", "payload": {"a": "\\ud83d"}}', 400),
    "NaN": (b'{"a": NaN}', 400),
    "infinity": (b'{"a": -Infinity}', 400),
    "null": (b"null", 422),
    "a number": (b"12", 422),
    "a text": (b'"a"', 422),
    "a list of numbers": (b"[1, 2]", 422),
    "lists in a list": (b"[[]]", 422),
    "no message in the list": (b"[]", 422),
    "an empty object": (b"{}", 422),
    "nothing to store": (b'{"a": "text", "b": null}', 422),
    "objects 17 deep": (_nested(17, b'{"a":', b"}"), 422),
    "objects 2,000 deep": (_nested(2_000, b'{"a":', b"}"), 422),
    "lists 17 deep": (_nested(17, b"[", b"]"), 422),
    "lists 8,000 deep": (_nested(8_000, b"[", b"]"), 422),
    "lists 100,000 deep": (b"[" * 100_000, 422),
    "an integer of 65 bits": (b'{"a": 9223372036854775808}', 422),
    "a number of many digits": (b'{"a": ' + b"9" * 5_000 + b"}", 422),
    "a number beyond all": (b'{"a": 1e999}', 422),
    "its negative": (b'{"payload": {"a": -1e999}}', 422),
    "a number beyond all in a batch": (b'[{"a": 1}, {"a": 1e999}]', 422),
    "a key of 65 characters": (_keyed("k" * 65), 422),
    "a key of 65 characters, dotted": (b'{"' + b"a" * 32 + b'": {"' + b"b" * 32 + b'": 1}}', 422),
    "an empty key": (_keyed(""), 422),
    "NUL in a key": (_keyed("a\0b"), 422),
    "a line break in a key": (_keyed("a\nb"), 422),
    "a key dotted and nested": (b'{"a.b": 1, "a": {"b": 2}}', 422),
    "a key nested and dotted": (b'{"a": {"b": 2}, "a.b": 1}', 422),
    "NUL in event_type": (b'{"event_type": "a\\u0000b", "payload": {}}', 422),
    "an event_type of 65 characters": (json.dumps({"event_type": "e" * 65, "payload": {}}).encode(), 422),
    "a payload that is a list": (b'{"payload": [1], "event_type": "e"}', 422),
    "an unknown field": (b'{"payload": {"a": 1}, "device_id": 1}', 422),
    "message_id of 129 characters": (json.dumps({"payload": {"a": 1}, "message_id": "m" * 129}).encode(), 422),
    "NUL in message_id": (b'{"payload": {"a": 1}, "message_id": "\\u0000"}', 422),
    "a message_id of true": (b'{"payload": {"a": 1}, "message_id": true}', 422),
    "a time in seconds": (_timed(NOW_MS // 1000), 422),
    "the time 0": (_timed(0), 422),
    "a time before 1970": (_timed(-1), 422),
    "1970 in words": (_timed("1970-01-01T00:00:07Z"), 422),
    "a time in two days": (_timed(NOW_MS + 2 * 86_400_000), 422),
    "the year 9999": (_timed("9999-12-31T23:59:59Z"), 422),
    "a time in microseconds": (_timed(NOW_MS * 1000), 422),
    "a time of many digits": (b'{"payload": {"a": 1}, "ts": ' + b"9" * 400 + b"}", 422),
    "a broken time": (_timed(NOW_MS + 0.5), 422),
    "true for a time": (_timed(True), 422),
    "no such day": (_timed("2026-02-30T00:00:00Z"), 422),
    "a time without a zone": (_timed("2026-02-03T00:00:00"), 422),
    "one bad message among good ones": (b'[{"a": 1}, {"a": 2}, {"a": "x"}]', 422),
    "16 KiB and one byte": (b'{"a": 1' + b" " * (MESSAGE_BYTES - 7) + b"}", 413),
    "16 KiB and one byte in a batch": (b'[{"a": 1' + b" " * (MESSAGE_BYTES - 7) + b"}]", 413),
    "501 messages": (b"[" + b",".join([b'{"a":1}'] * 501) + b"]", 422),
    "1 MiB and one byte": (b'[{"a": 1}' + b" " * (BATCH_BYTES - 9) + b"]", 413),
}
ACCEPTED: dict[str, tuple[bytes, int]] = {
    "a key of 64 characters": (_keyed("k" * 64), 1),
    "the largest integers": (b'{"a": 9223372036854775807, "b": -9223372036854775808}', 1),
    "a key twice, of which the last counts": (b'{"a": 1, "a": 2}', 1),
    "a number below all": (b'{"a": 1e-999}', 1),
    "objects 16 deep": (_nested(15, b'{"a":', b"}"), 1),
    "NUL in a text": (b'{"event_type": "e", "payload": {"a": "\\u0000"}}', 1),
    "a time in the year 2001": (_timed("2001-01-01T00:00:00Z"), 1),
    "a time in an hour": (_timed(NOW_MS + 3_600_000), 1),
    "16 KiB": (b'{"a": 1' + b" " * (MESSAGE_BYTES - 8) + b"}", 1),
    "500 messages": (b"[" + b",".join([b'{"a":1}'] * 500) + b"]", 500),
    "1 MiB": (b'[{"a": 1}' + b" " * (BATCH_BYTES - 10) + b"]", 1),
}


def test_every_bad_body_is_refused_and_none_of_it_stored(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    wrong = {}
    for name, (body, status) in REFUSED.items():
        answer = client.post("/telemetry", content=body, headers=_JSON | device.headers)
        problem = answer.json() if answer.headers["Content-Type"] == "application/problem+json" else {}
        if answer.status_code != status or not problem.get("detail") or "Traceback" in answer.text:
            wrong[name] = (answer.status_code, answer.text[:300])
    assert wrong == {}
    assert user.get(f"/devices/{device.id}/telemetry/recent").json() == []
    assert user.get(f"/devices/{device.id}/readings").json() == []


def test_what_is_just_within_the_limits_is_stored(
    client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    wrong = {}
    for name, (body, count) in ACCEPTED.items():
        answer = client.post("/telemetry", content=body, headers=_JSON | device.headers)
        if answer.status_code != 201 or answer.json()["count"] != count:
            wrong[name] = (answer.status_code, answer.text[:300])
    assert wrong == {}
    newest = user.get(f"/devices/{device.id}/telemetry/recent", params={"limit": 500})
    assert newest.status_code == 200
    assert len(newest.json()) == 500
    latest = {one["sensor_type"]: one["value"] for one in user.get(f"/devices/{device.id}/readings/latest").json()}
    assert latest["b"] == -(2**63)


BAD_READINGS: dict[str, tuple[bytes, int]] = {
    "a text for a value": (b'{"sensor_type": "a", "value": "1"}', 422),
    "null for a value": (b'{"sensor_type": "a", "value": null}', 422),
    "NaN": (b'{"sensor_type": "a", "value": NaN}', 400),
    "a number beyond all": (b'{"sensor_type": "a", "value": 1e999}', 422),
    "66 bits": (b'{"sensor_type": "a", "value": 36893488147419103232}', 422),
    "65 characters": (json.dumps({"sensor_type": "k" * 65, "value": 1}).encode(), 422),
    "NUL": (b'{"sensor_type": "a\\u0000", "value": 1}', 422),
    "NUL in the unit": (b'{"sensor_type": "a", "value": 1, "unit": "\\u0000"}', 422),
    "a list of lists": (b"[[1]]", 422),
    "501 of them": (b"[" + b",".join([b'{"sensor_type":"a","value":1}'] * 501) + b"]", 422),
    "an unknown field": (b'{"readings": [], "device_id": 1}', 422),
    "seconds": (json.dumps({"sensor_type": "a", "value": 1, "timestamp": NOW_MS // 1000}).encode(), 422),
}


def test_every_bad_reading_is_refused(client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
    wrong = {}
    for name, (body, status) in BAD_READINGS.items():
        answer = client.post(f"/devices/{device.id}/readings", content=body, headers=_JSON | device.headers)
        if answer.status_code != status:
            wrong[name] = (answer.status_code, answer.text[:300])
    assert wrong == {}
    assert user.get(f"/devices/{device.id}/readings").json() == []


def test_bad_bodies_elsewhere(client: httpx2.Client, user: UserClient) -> None:
    """The endpoints behind pydantic meet the same bombs."""
    wrong = {}
    for path in ("/devices", "/pairing/start", "/auth/login", "/auth/register", "/devices/hello", "/auth/refresh"):
        for name, (body, _) in REFUSED.items():
            answer = user.post(path, content=body, headers=_JSON)
            if answer.status_code not in {400, 401, 413, 422, 429}:
                wrong[path, name] = (answer.status_code, answer.text[:300])
    assert wrong == {}


def test_a_device_that_is_deleted_while_it_publishes(
    server: RoostServer, client: httpx2.Client, user: UserClient, device: RegisteredDevice
) -> None:
    """It hears 401 from then on, and nothing of it is left; its neighbour goes on."""
    neighbour = register_device(user)
    statuses: list[int] = []
    started = threading.Event()

    def publish() -> None:
        with httpx2.Client(base_url=f"{server.url}/api/v1", timeout=30, trust_env=False, verify=False) as own:
            while not statuses or statuses[-1] == 201:
                statuses.append(own.post("/telemetry", headers=device.headers, json={"n": len(statuses)}).status_code)
                if len(statuses) > 20:
                    started.set()

    publishing = threading.Thread(target=publish)
    publishing.start()
    assert started.wait(30)
    assert user.delete(f"/devices/{device.id}").status_code == 204
    publishing.join(30)
    assert set(statuses) == {201, 401}
    assert user.get(f"/devices/{device.id}/telemetry/recent").status_code == 404
    assert client.post("/telemetry", headers=neighbour.headers, json={"n": 1}).status_code == 201
    assert {one["device_id"] for one in user.get("/telemetry").json()} == {neighbour.id}


def test_a_chunked_body_that_does_not_end(server: RoostServer, device: RegisteredDevice) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(_head(device, b"Transfer-Encoding: chunked"))
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        try:
            for _ in range(64):
                connection.sendall(chunk)
        except OSError:
            pass  # it has heard enough
        assert connection.recv(64).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "length",
    [b"Content-Length: -1", b"Content-Length: " + b"9" * 5_000, b"Content-Length: ten", b"Content-Length: 1e3"],
)
def test_a_length_that_is_none(server: RoostServer, device: RegisteredDevice, length: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(_head(device, length) + b'{"a": 1}')
        assert connection.recv(64)[9:12] in {b"400", b"413"}


@pytest.mark.soak
def test_a_body_that_comes_too_slowly(server: RoostServer, device: RegisteredDevice) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=45) as connection:
        connection.sendall(_head(device, b"Content-Length: 100") + b"{")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 408


def _head(device: RegisteredDevice, line: bytes) -> bytes:
    token = device.token.encode()
    return b"POST /api/v1/telemetry HTTP/1.1\r\nHost: hub\r\nX-Device-Token: " + token + b"\r\n" + line + b"\r\n\r\n"
