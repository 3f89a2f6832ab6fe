"""What the hub says about its machine, and to whom."""

import threading
import time
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

import roost
from roost.access.models import GrantRow
from roost.core.clock import from_ms, parse_time
from roost.core.database import Database
from roost.core.settings import Settings
from tests.conftest import FreshServer, RegisteredDevice, UserClient, register_user
from tests.roost_server import RoostServer

SYSTEM = ("/system/health", "/system/temp", "/system/metrics?sample_ms=0", "/system/version")
HEALTH = ("/health", "/healthz", "/readyz")


def test_metrics_are_those_of_both_descriptions(client: httpx2.Client) -> None:
    answer = client.get("/system/metrics", params={"sample_ms": 50, "top_n": 3})
    assert answer.status_code == 200, answer.text
    metrics = answer.json()
    assert abs(from_ms(parse_time(metrics["time"])) - datetime.now(UTC)) < timedelta(minutes=1)
    cpu = metrics["cpu"]
    assert len(cpu["per_core"]) == cpu["count"]
    assert all(0 <= percent <= 100 for percent in [*cpu["per_core"], cpu["avg"], metrics["cpu_usage"]])
    memory = metrics["memory"]
    assert memory["used"] == memory["total"] - memory["available"] > 0
    assert metrics["disk"]["total"] == metrics["disk"]["used"] + metrics["disk"]["free"]
    assert 0 < len(metrics["top"]) <= 3
    assert {"pid", "name", "cpu", "rss"} == set(metrics["top"][0])
    assert metrics["top"] == sorted(metrics["top"], key=lambda one: (-one["cpu"], -one["rss"]))
    assert metrics["human"]["mem_total"].endswith(" GiB")
    assert metrics["human"]["uptime_h"] >= 0
    assert {"temperature_c", "network", "load"} <= set(metrics)
    assert metrics["uptime"] > 0
    assert metrics["memory_usage"] > 10
    assert metrics["active_connections"] >= 1
    assert metrics["requests_per_minute"] >= 1


def test_metrics_have_defaults_and_limits(client: httpx2.Client) -> None:
    assert len(client.get("/system/metrics").json()["top"]) <= 5
    assert client.get("/system/metrics", params={"sample_ms": 0, "top_n": 0}).json()["top"] == []
    for wrong in ({"sample_ms": 2001}, {"sample_ms": -1}, {"top_n": 21}, {"top_n": "many"}, {"unknown": 1}):
        answer = client.get("/system/metrics", params=wrong)
        assert answer.status_code == 422, wrong
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_long_sampling_window_holds_nobody_up(server: RoostServer) -> None:
    def sample() -> None:
        httpx2.get(f"{server.url}/system/metrics?sample_ms=1500&top_n=20", timeout=20, trust_env=False, verify=False)

    windows = [threading.Thread(target=sample) for _ in range(6)]
    for window in windows:
        window.start()
    slowest = 0.0
    with httpx2.Client(base_url=server.url, trust_env=False, verify=False) as client:
        while any(window.is_alive() for window in windows):
            began = time.monotonic()
            assert client.get("/healthz").status_code == 200
            slowest = max(slowest, time.monotonic() - began)
    assert slowest < 1.0


def test_temperature_and_version(client: httpx2.Client, server: RoostServer) -> None:
    temperature = client.get("/system/temp").json()
    assert set(temperature) == {"time", "temp_c", "throttled", "throttled_flags"}
    assert temperature["temp_c"] is None or -40 < temperature["temp_c"] < 150
    version = client.get("/system/version").json()
    assert version["name"] == "roost"
    assert version["version"] == roost.__version__
    assert version["database"] == server.database_kind
    assert client.get("/system/health").json() == {"ok": True}


def test_on_loopback_the_system_is_public_for_this_machine_only(server: RoostServer) -> None:
    with httpx2.Client(base_url=server.url, trust_env=False, verify=False) as client:
        for path in SYSTEM:
            assert client.get(path).status_code == 200
            for name, value in {"Host": "hub.example.org", "X-Forwarded-For": "192.0.2.1", "Via": "1.1 proxy"}.items():
                answer = client.get(path, headers={name: value})
                assert answer.status_code == 401, (path, name)
                assert answer.headers["www-authenticate"].startswith("Bearer")
        for path in HEALTH:
            assert client.get(path, headers={"Host": "hub.example.org"}).status_code == 200


@pytest.mark.parametrize(
    ("environment", "public"),
    [
        ({"ROOST_HOST": "0.0.0.0"}, False),
        ({"ROOST_HOST": "0.0.0.0", "ROOST_SYSTEM_PUBLIC": "true"}, True),
        ({"ROOST_SYSTEM_PUBLIC": "false"}, False),
    ],
)
def test_the_setting_decides_and_the_address_otherwise(
    fresh_server: FreshServer, environment: dict[str, str], public: bool
) -> None:
    server = fresh_server(**environment)
    with httpx2.Client(base_url=f"{server.url}/api/v1", trust_env=False, verify=False) as client:
        for path in SYSTEM:
            assert client.get(path).status_code == (200 if public else 401)
        for path in HEALTH:
            assert client.get(path).status_code == 200
        if public:
            return
        with register_user(server) as user:
            assert [user.get(path).status_code for path in SYSTEM] == [200] * len(SYSTEM)
            device = user.post("/devices", json={"name": "a sensor"}).json()
            for credential in (device["device_token"], "nonsense"):
                answer = client.get("/system/metrics", headers={"Authorization": f"Bearer {credential}"})
                assert answer.status_code == 401


async def test_without_the_scope_it_is_forbidden(
    server: RoostServer, user: UserClient, device: RegisteredDevice
) -> None:
    database = Database(Settings(data_dir=server.data_dir, database_url=server.database_url))
    home_id = user.get(f"/devices/{device.id}").json()["home_id"]
    async with database.write() as session:
        grants = await session.scalars(GrantRow.__table__.select().where(GrantRow.user_id == user.profile["id"]))
        grant = await session.get_one(GrantRow, grants.one())
        grant.role, grant.home_id = "technician", home_id
    await database.dispose()
    answer = user.get("/system/version", headers={"Host": "hub.example.org"})
    assert answer.status_code == 403
    assert "system:read" in answer.json()["detail"]
