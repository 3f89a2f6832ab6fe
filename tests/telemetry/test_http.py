"""Telemetry in and out over HTTP, as a device and its owner meet it."""

from typing import Any

import httpx2
import pytest

from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer

START = 1_735_689_600_000  # 2025-01-01T00:00:00Z
MINUTE = 60_000


def send(client: httpx2.Client, device: RegisteredDevice, body: Any, path: str = "/telemetry") -> httpx2.Response:
    return client.post(path, json=body, headers=device.headers)


def stored(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def get(user: UserClient, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = user.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def values(readings: list[dict[str, Any]]) -> list[Any]:
    return [reading["value"] for reading in readings]


class TestSending:
    def test_a_message_is_visible_to_the_next_request(
        self, client: httpx2.Client, user: UserClient, device: RegisteredDevice
    ) -> None:
        answer = stored(send(client, device, {"event_type": "boot", "payload": {"temp_c": 21, "ok": True, "why": "x"}}))
        assert (answer["status"], answer["count"], answer["resent"]) == ("stored", 1, 0)
        own = client.get("/telemetry/recent", params={"limit": 5}, headers=device.headers).json()
        assert own == get(user, f"/devices/{device.id}/telemetry/recent", limit=5)
        (message,) = own
        assert (message["id"], message["event_type"]) == (answer["ids"][0], "boot")
        assert message["payload"] == {"temp_c": 21, "ok": True, "why": "x"}
        latest = {reading["sensor_type"]: reading["value"] for reading in self.latest(user, device)}
        assert latest == {"temp_c": 21, "ok": True}

    @staticmethod
    def latest(user: UserClient, device: RegisteredDevice) -> list[dict[str, Any]]:
        return get(user, f"/devices/{device.id}/readings/latest")

    def test_readings_with_units_and_times_come_back_as_sent(
        self, client: httpx2.Client, user: UserClient, device: RegisteredDevice
    ) -> None:
        readings = [
            {"sensor_type": "temperature", "value": 23.5, "unit": "°C", "timestamp": "2025-01-01T12:00:00Z"},
            {"sensor_type": "humidity", "value": 40, "unit": "%", "timestamp": "2025-01-01T12:00:00Z"},
            {"sensor_type": "temperature", "value": 24.5, "unit": "°C", "timestamp": "2025-01-01T14:00:00+01:00"},
        ]
        answer = stored(send(client, device, {"readings": readings}, f"/devices/{device.id}/readings"))
        assert answer["count"] == 2
        found = get(user, f"/devices/{device.id}/readings", sensor_type="temperature")
        assert found == [
            {"sensor_type": "temperature", "value": 24.5, "unit": "°C", "timestamp": "2025-01-01T13:00:00.000Z"},
            {"sensor_type": "temperature", "value": 23.5, "unit": "°C", "timestamp": "2025-01-01T12:00:00.000Z"},
        ]
        latest = self.latest(user, device)
        assert [(entry["sensor_type"], entry["value"], entry["unit"]) for entry in latest] == [
            ("humidity", 40, "%"),
            ("temperature", 24.5, "°C"),
        ]

    def test_latest_follows_what_arrives_later_and_ignores_what_is_older(
        self, client: httpx2.Client, user: UserClient, device: RegisteredDevice
    ) -> None:
        stored(send(client, device, {"payload": {"a": 1, "b": 1}, "ts": START}))
        assert values(self.latest(user, device)) == [1, 1]
        stored(send(client, device, {"payload": {"a": 2}, "ts": START + 1}))
        stored(send(client, device, {"payload": {"a": 3, "b": 3}, "ts": START - 1}))
        assert values(self.latest(user, device)) == [2, 1]

    def test_a_batch_is_all_or_nothing(self, client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
        refused = send(client, device, [{"a": 1}, {"a": "no number"}])
        assert (refused.status_code, refused.json()["code"]) == (422, "no_readings")
        assert get(user, f"/devices/{device.id}/telemetry/recent") == []
        assert stored(send(client, device, [{"a": number} for number in range(500)]))["count"] == 500

    def test_a_resend_is_acknowledged_and_stored_once(
        self, client: httpx2.Client, user: UserClient, device: RegisteredDevice
    ) -> None:
        with_id = {"payload": {"a": 1}, "message_id": "m-1"}
        assert stored(send(client, device, with_id))["count"] == 1
        again = stored(send(client, device, with_id))
        assert (again["count"], again["resent"], again["ids"]) == (0, 1, [])
        with_time = {"payload": {"b": 1}, "ts": START}
        for _ in range(2):
            stored(send(client, device, with_time))
        stored(send(client, device, {"payload": {"b": 2}, "ts": START}))
        assert values(get(user, f"/devices/{device.id}/readings", sensor_type="a")) == [1]
        assert sorted(values(get(user, f"/devices/{device.id}/readings", sensor_type="b"))) == [1, 2]
        assert get(user, f"/devices/{device.id}/readings/stats", sensor_type="b")[0]["count"] == 2

    def test_a_device_sends_for_itself_only(
        self, client: httpx2.Client, user: UserClient, device: RegisteredDevice
    ) -> None:
        other = register_device(user)
        reading = {"sensor_type": "a", "value": 1}
        for own_name in (device.id, device.uid, "me"):
            stored(send(client, device, reading, f"/devices/{own_name}/readings"))
        assert send(client, device, reading, f"/devices/{other.id}/readings").status_code == 404
        assert client.post("/telemetry", json={"a": 1}).status_code == 401
        assert user.post("/telemetry", json={"a": 1}).status_code == 401

    def test_an_event_needs_its_type(self, client: httpx2.Client, device: RegisteredDevice) -> None:
        refused = send(client, device, {"payload": {"a": 1}}, "/events")
        assert (refused.status_code, refused.json()["code"]) == (422, "event_type_missing")


class TestReading:
    @pytest.fixture
    def path(self, client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> str:
        """A device with a value every minute for ten minutes, 0 to 9, and one of another series."""
        batch: list[dict[str, Any]] = [
            {"payload": {"n": number}, "ts": START + number * MINUTE} for number in range(10)
        ]
        stored(send(client, device, [*batch, {"payload": {"other": True}, "ts": START}]))
        return f"/devices/{device.id}/readings"

    def test_time_spans_include_their_start_and_not_their_end(self, user: UserClient, path: str) -> None:
        query = {"from": "2025-01-01T00:02:00Z", "to": START + 5 * MINUTE, "sensor_type": "n"}
        assert values(get(user, path, **query)) == [4, 3, 2]

    def test_pages_follow_each_other_without_gap_or_overlap(self, user: UserClient, path: str) -> None:
        found, cursor = [], None
        for _ in range(20):
            query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
            answer = user.get(path, params=query)
            assert len(answer.json()) <= 3
            found += [(reading["sensor_type"], reading["value"]) for reading in answer.json()]
            cursor = answer.headers.get("X-Next-Cursor")
            if cursor is None:
                break
        assert found[:9] == [("n", number) for number in range(9, 0, -1)]
        assert sorted(found[9:]) == [("n", 0), ("other", True)]

    def test_buckets_aggregate_each_series(self, user: UserClient, path: str) -> None:
        query = {"bucket": "5m", "agg": "avg,min,max,sum,count,first,last,p50,p95", "sensor_type": "n"}
        first, second = get(user, path, **query)
        assert first == {
            "sensor_type": "n", "unit": None, "bucket": "2025-01-01T00:00:00.000Z", "avg": 2.0, "min": 0.0, "max": 4.0,
            "sum": 10.0, "count": 5, "first": 0.0, "last": 4.0, "p50": 2.0, "p95": 3.8,
        }  # fmt: skip
        assert (second["bucket"], second["avg"]) == ("2025-01-01T00:05:00.000Z", 7.0)
        assert [entry["avg"] for entry in get(user, path, bucket="300", sensor_type="n")] == [2.0, 7.0]

    def test_days_are_those_of_the_place_that_is_asked_for(
        self, client: httpx2.Client, user: UserClient, device: RegisteredDevice
    ) -> None:
        hours = range(0, 48, 1)
        night = 1_743_202_800_000  # 2025-03-29T00:00 in Berlin: the next day has 23 hours
        stored(send(client, device, [{"payload": {"n": 1}, "ts": night + hour * 60 * MINUTE} for hour in hours]))
        query = {"bucket": "1d", "tz": "Europe/Berlin", "agg": "count", "from": night}
        found = get(user, f"/devices/{device.id}/readings", **query)
        assert [(entry["bucket"], entry["count"]) for entry in found] == [
            ("2025-03-28T23:00:00.000Z", 24), ("2025-03-29T23:00:00.000Z", 23), ("2025-03-30T22:00:00.000Z", 1)
        ]  # fmt: skip

    def test_gaps_are_filled_as_asked(self, client: httpx2.Client, user: UserClient, device: RegisteredDevice) -> None:
        stored(send(client, device, [{"payload": {"n": n}, "ts": START + n * MINUTE} for n in (0, 1, 4)]))
        query: dict[str, Any] = {"bucket": "1m", "agg": "avg,count", "from": START - MINUTE, "to": START + 6 * MINUTE}
        path = f"/devices/{device.id}/readings"
        filled = {
            fill: [e["avg"] for e in get(user, path, fill=fill, **query)] for fill in ("none", "null", "previous")
        }
        assert filled == {
            "none": [0, 1, 4],
            "null": [None, 0, 1, None, None, 4, None],
            "previous": [None, 0, 1, 1, 1, 4, 4],
        }
        linear = get(user, path, fill="linear", **query)
        assert [entry["avg"] for entry in linear] == [None, 0, 1, 2, 3, 4, None]
        assert [entry["count"] for entry in linear] == [0, 1, 1, 0, 0, 1, 0]
        endless = user.get(path, params=query | {"fill": "null", "from": 1, "bucket": "1s"})
        assert (endless.status_code, endless.json()["code"]) == (422, "too_many")

    def test_a_chart_gets_few_points_and_all_peaks(
        self, client: httpx2.Client, user: UserClient, device: RegisteredDevice
    ) -> None:
        sent: list[dict[str, Any]] = [
            {"payload": {"n": n % 5, "on": True}, "ts": START + n * MINUTE} for n in range(400)
        ]
        sent[123]["payload"]["n"], sent[321]["payload"]["n"] = 99.5, -7
        stored(send(client, device, sent))
        found = get(user, f"/devices/{device.id}/readings", points=20)
        numbers = [entry for entry in found if entry["sensor_type"] == "n"]
        assert len(numbers) <= 20
        assert (max(values(numbers)), min(values(numbers))) == (99.5, -7)
        assert [numbers[0]["timestamp"], numbers[-1]["timestamp"]] == [
            "2025-01-01T00:00:00.000Z",
            "2025-01-01T06:39:00.000Z",
        ]
        assert all(value is True for value in values([entry for entry in found if entry["sensor_type"] == "on"]))

    def test_statistics_of_each_series(self, user: UserClient, path: str) -> None:
        numbers, other = get(user, f"{path}/stats")
        assert numbers | {"first_at": None, "last_at": None} == {
            "sensor_type": "n", "unit": None, "count": 10, "min": 0.0, "max": 9.0, "avg": 4.5, "sum": 45.0,
            "first": 0.0, "last": 9.0, "first_at": None, "last_at": None,
        }  # fmt: skip
        assert (numbers["first_at"], numbers["last_at"]) == ("2025-01-01T00:00:00.000Z", "2025-01-01T00:09:00.000Z")
        assert (other["sensor_type"], other["sum"]) == ("other", 1.0)

    @pytest.mark.parametrize(
        "query",
        [
            {"from": "yesterday"},
            {"to": "1e9"},
            {"bucket": "0"},
            {"bucket": "5 weeks"},
            {"agg": "avg"},
            {"bucket": "5m", "agg": "mean"},
            {"bucket": "5m", "fill": "zero"},
            {"fill": "null"},
            {"tz": "Europe/Berlin"},
            {"bucket": "5m", "tz": "Europe/Berlin"},
            {"bucket": "1d", "tz": "Mars/Olympus"},
            {"points": 9},
            {"points": 100, "bucket": "5m"},
            {"limit": 0},
            {"limit": 501},
            {"unknown": 1},
        ],
    )
    def test_a_wrong_question_is_told_what_is_wrong_with_it(
        self, user: UserClient, path: str, query: dict[str, Any]
    ) -> None:
        answer = user.get(path, params=query)
        assert answer.status_code == 422
        assert len(answer.json()["detail"]) > 10
        assert user.get(path, params={"cursor": "bm9uc2Vuc2U"}).status_code == 400


class TestAcrossDevices:
    def test_events_and_messages_of_all_devices_within_reach(
        self, server: RoostServer, client: httpx2.Client, user: UserClient, device: RegisteredDevice
    ) -> None:
        other = register_device(user)
        (event_id,) = stored(send(client, device, {"event_type": "boot", "payload": {"why": "power"}}))["ids"]
        stored(send(client, other, {"event_type": "alarm", "payload": {"level": 3}}, "/events"))
        stored(send(client, other, {"level": 4}))
        assert [event["event_type"] for event in get(user, "/events")] == ["alarm", "boot"]
        assert [event["event_type"] for event in get(user, "/events", event_type="boot")] == ["boot"]
        assert [event["event_type"] for event in get(user, "/events", device_id=other.id)] == ["alarm"]
        assert len(get(user, "/telemetry")) == 3
        assert len(get(user, "/telemetry", homeId=user.get(f"/devices/{device.id}").json()["home_id"])) == 3
        assert user.get(f"/events/{event_id}").json()["payload"] == {"why": "power"}

        page = user.get("/telemetry", params={"limit": 2})
        following = user.get("/telemetry", params={"limit": 2, "cursor": page.headers["X-Next-Cursor"]})
        assert [len(page.json()), len(following.json())] == [2, 1]
        assert "X-Next-Cursor" not in following.headers

        with register_user(server) as stranger:
            assert get(stranger, "/events") == []
            assert get(stranger, "/telemetry") == []
            assert stranger.get(f"/events/{event_id}").status_code == 404
            for path in ("telemetry/recent", "readings", "readings/latest", "readings/stats"):
                assert stranger.get(f"/devices/{device.id}/{path}").status_code == 404
            assert stranger.get("/events", params={"device_id": device.id}).status_code == 404

    def test_the_telemetry_of_a_deleted_device_goes_with_it(
        self, client: httpx2.Client, user: UserClient, device: RegisteredDevice
    ) -> None:
        stored(send(client, device, {"a": 1}))
        assert user.delete(f"/devices/{device.id}").status_code == 204
        assert send(client, device, {"a": 2}).status_code == 401
        assert get(user, "/telemetry") == []


class TestPrune:
    def test_old_telemetry_is_deleted_while_the_hub_runs(
        self, server: RoostServer, client: httpx2.Client, user: UserClient, device: RegisteredDevice
    ) -> None:
        stored(send(client, device, [{"payload": {"a": 1}, "ts": START}, {"a": 2}]))
        done = server.run_command("telemetry", "prune", "--days", "30")
        assert done.returncode == 0, done.stderr
        assert "older than 30 days deleted" in done.stdout
        assert values(get(user, f"/devices/{device.id}/readings")) == [2]
        stored(send(client, device, {"a": 3}))
        assert values(get(user, f"/devices/{device.id}/readings")) == [3, 2]
