"""Trends and summaries over many devices, as those see them who reach different ones."""

from typing import Any

import httpx2
import pytest

from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer
from tests.telemetry.test_http import MINUTE, START, get, send, stored

HOUR = 60 * MINUTE
SPAN: dict[str, Any] = {"from": START, "to": START + 4 * HOUR}


class Fleet:
    """Two devices in a house and one in another, of two types, with a few readings each."""

    def __init__(self, client: httpx2.Client, user: UserClient) -> None:
        self.homes = [user.post("/homes", json={"name": name}).json()["id"] for name in ("North", "South")]
        places = ((0, "meter"), (0, "lamp"), (1, "meter"))
        self.devices = [register_device(user, home_id=self.homes[home], type=kind) for home, kind in places]
        north, lamp, south = self.devices
        self.send(client, north, {START: 1, START + MINUTE: 3, START + HOUR: 5}, unit="W")
        self.send(client, lamp, {START: 8, START + 3 * HOUR: 2})
        self.send(client, south, {START + HOUR: 7, START + 4 * HOUR: 1000})

    def send(
        self, client: httpx2.Client, device: RegisteredDevice, values: dict[int, float], unit: str | None = None
    ) -> None:
        readings = [
            {"sensor_type": "power", "value": value, "unit": unit, "timestamp": at} for at, value in values.items()
        ]
        stored(send(client, device, {"readings": readings}, f"/devices/{device.id}/readings"))


@pytest.fixture
def fleet(client: httpx2.Client, user: UserClient) -> Fleet:
    return Fleet(client, user)


def rows(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(entry[name] for name in names) for entry in found]


class TestTrends:
    def test_the_fleet_hour_by_hour(self, user: UserClient, fleet: Fleet) -> None:
        found = get(user, "/analytics/trends", **SPAN, bucket="1h", agg="avg,max,count,p50")
        assert rows(found, "bucket", "avg", "max", "count", "p50", "devices") == [
            ("2025-01-01T00:00:00.000Z", 4.0, 8.0, 3, 3.0, 2),
            ("2025-01-01T01:00:00.000Z", 6.0, 7.0, 2, 6.0, 2),
            ("2025-01-01T03:00:00.000Z", 2.0, 2.0, 1, 2.0, 1),
        ]
        assert {(entry["sensor_type"], entry["unit"]) for entry in found} == {("power", "W")}

    def test_groups_of_devices(self, user: UserClient, fleet: Fleet) -> None:
        query = SPAN | {"bucket": "1d", "agg": "sum"}
        first, second, third = fleet.devices
        by_home = get(user, "/analytics/trends", **query, by="home")
        assert rows(by_home, "home_id", "sum", "devices") == [(fleet.homes[0], 19, 2), (fleet.homes[1], 7, 1)]
        by_type = get(user, "/analytics/trends", **query, by="type")
        assert rows(by_type, "device_type", "sum") == [("meter", 16), ("lamp", 10)]
        by_device = get(user, "/analytics/trends", **query, by="device")
        assert rows(by_device, "device_id", "sum") == [(first.id, 9), (second.id, 10), (third.id, 7)]
        (by_organization,) = get(user, "/analytics/trends", **query, by="organization")
        assert by_organization["sum"] == 26

    def test_only_what_is_asked_for(self, user: UserClient, fleet: Fleet) -> None:
        query = SPAN | {"bucket": "1d", "agg": "count"}

        def count(**wanted: Any) -> int:
            return sum(entry["count"] for entry in get(user, "/analytics/trends", **query, **wanted))

        assert count(device_id=[fleet.devices[0].id, fleet.devices[2].id]) == 4
        assert count(homeId=fleet.homes[0]) == 5
        assert count(device_type="meter") == 4
        assert count(sensor_type="nothing") == 0
        assert count(home_id=fleet.homes[0], device_type="meter") == 3

    def test_gaps_have_no_devices(self, user: UserClient, fleet: Fleet) -> None:
        found = get(user, "/analytics/trends", **SPAN, bucket="1h", agg="max", fill="previous")
        assert rows(found, "max", "devices") == [(8, 2), (7, 2), (7, 0), (2, 1)]

    def test_by_default_the_last_day_hour_by_hour(self, client: httpx2.Client, user: UserClient, fleet: Fleet) -> None:
        assert get(user, "/analytics/trends") == []
        stored(send(client, fleet.devices[0], {"now": 1}))
        (entry,) = get(user, "/analytics/trends")
        assert (entry["sensor_type"], entry["avg"], entry["devices"]) == ("now", 1, 1)

    def test_others_are_not_in_it(self, server: RoostServer, user: UserClient, fleet: Fleet) -> None:
        with register_user(server) as stranger:
            assert get(stranger, "/analytics/trends", **SPAN) == []
            for path in ("trends", "summary"):
                named = {"device_id": [fleet.devices[0].id]}
                assert stranger.get(f"/analytics/{path}", params=named).status_code == 404
            assert stranger.get("/analytics/summary", params=SPAN).json()["devices"] == 0

    def test_a_wrong_question_is_refused(self, client: httpx2.Client, user: UserClient) -> None:
        device = register_device(user)
        stored(send(client, device, {"payload": {"a": 1}, "ts": START}))
        wrong: tuple[dict[str, Any], ...] = (
            {"by": "colour"},
            {"from": START, "to": START},
            {"agg": "max"},
            {"from": 1, "bucket": "1s", "fill": "null"},
            {"device_id": 0},
        )
        for query in wrong:
            answer = user.get("/analytics/trends", params=query)
            assert answer.status_code == 422
            assert len(answer.json()["detail"]) > 10


class TestSummary:
    def test_what_came_and_who_was_silent(self, user: UserClient, fleet: Fleet) -> None:
        silent = register_device(user, home_id=fleet.homes[0])
        found = user.get("/analytics/summary", params=SPAN | {"bucket": "1h"}).json()
        by_device = found.pop("by_device")
        assert found == {
            "start": "2025-01-01T00:00:00.000Z", "end": "2025-01-01T04:00:00.000Z", "buckets": 4, "devices": 4,
            "devices_heard": 3, "series": 3, "readings": 6, "last_at": "2025-01-01T03:00:00.000Z",
            "by_sensor_type": [
                {"sensor_type": "power", "unit": "W", "devices": 3, "readings": 6, "min": 1.0, "max": 8.0,
                 "avg": pytest.approx(26 / 6), "last_at": "2025-01-01T03:00:00.000Z"}
            ],
        }  # fmt: skip
        first, second, third = fleet.devices
        assert rows(by_device, "device_id", "completeness", "readings", "last_at") == [
            (silent.id, 0, 0, None),
            (third.id, 0.25, 1, "2025-01-01T01:00:00.000Z"),
            (first.id, 0.5, 3, "2025-01-01T01:00:00.000Z"),
            (second.id, 0.5, 2, "2025-01-01T03:00:00.000Z"),
        ]
        assert by_device[0]["gaps"] == [{"start": "2025-01-01T00:00:00.000Z", "end": "2025-01-01T04:00:00.000Z"}]
        assert by_device[3]["gaps"] == [{"start": "2025-01-01T01:00:00.000Z", "end": "2025-01-01T03:00:00.000Z"}]

    def test_the_worst_come_first_and_no_more_than_asked_for(self, user: UserClient, fleet: Fleet) -> None:
        for worst in (0, 1, 3):
            found = user.get("/analytics/summary", params=SPAN | {"bucket": "1h", "worst": worst}).json()
            assert len(found["by_device"]) == worst
            assert found["readings"] == 6

    def test_the_width_fits_the_span_unless_one_is_asked_for(self, user: UserClient, fleet: Fleet) -> None:
        assert user.get("/analytics/summary", params=SPAN).json()["buckets"] == 48
        assert user.get("/analytics/summary").json()["buckets"] in {96, 97}
        refused = user.get("/analytics/summary", params={"from": START, "bucket": "1m"})
        assert refused.status_code == 422
        assert "wider" in refused.json()["detail"]
