"""From a policy to what it leaves: the hub's child process, and the command, while the hub runs."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roost.core.clock import SystemClock
from roost.core.database import Database
from roost.core.settings import Settings
from roost.telemetry.log import LogUnavailable
from roost.telemetry.retention import carrying, keeper
from roost.telemetry.retention.keeper import Keeper
from roost.telemetry.sqlite_log import SqliteLog
from tests.conftest import DatabaseKind, FreshServer, RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer
from tests.stopped_clock import StoppedClock
from tests.telemetry.retention.test_policies import home_of, make
from tests.waiting import until


@pytest.fixture
def hub(database_kind: DatabaseKind, fresh_server: FreshServer) -> RoostServer:
    return fresh_server(database_kind)


@pytest.fixture
def owner(hub: RoostServer) -> Iterator[UserClient]:
    with register_user(hub) as user:
        yield user


def bring(user: UserClient, device: RegisteredDevice, **readings: int) -> None:
    """A reading a day of each series, over 40 days."""
    now = datetime.now(UTC)
    lines = [
        json.dumps({"device_uid": device.uid, "sensor_type": key, "time": (now - age).isoformat(), "value": value})
        for key, value in readings.items()
        for age in (timedelta(days=days, hours=1) for days in range(40))
    ]
    answer = user.post(
        "/analytics/import", content="\n".join(lines).encode(), headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.json()["stored"] == len(lines), answer.text


def count(user: UserClient, device: RegisteredDevice) -> dict[str, int]:
    query = "sensor_type=temp&sensor_type=debug.rssi&from=2020-01-01T00:00:00Z&limit=500"
    found = user.get(f"/devices/{device.id}/readings?{query}")
    assert found.status_code == 200, found.text
    kinds = [reading["sensor_type"] for reading in found.json()]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def prune(hub: RoostServer) -> str:
    done = hub.run_command("telemetry", "prune")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_does_what_the_policies_say(hub: RoostServer, owner: UserClient) -> None:
    device, other = register_device(owner, type="meter"), register_device(owner, type="lamp")
    for one in (device, other):
        bring(owner, one, **{"temp": 20, "debug.rssi": -60})
    assert prune(hub).startswith("There are no retention policies")
    make(owner, organization_id=home_of(owner), device_type="meter", keep_days=10)
    make(owner, organization_id=home_of(owner), key_pattern="debug.*", keep_days=2)
    assert "messages that the policies keep no longer deleted." in prune(hub)
    assert count(owner, device) == {"temp": 10, "debug.rssi": 2}
    assert count(owner, other) == {"temp": 40, "debug.rssi": 2}
    assert prune(hub).startswith("0 messages")


async def test_the_hub_does_it_in_a_child(
    hub: RoostServer, owner: UserClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = register_device(owner)
    bring(owner, device, temp=20)
    settings = Settings(data_dir=hub.data_dir, database_url=hub.database_url)
    database = Database(settings)
    log = SqliteLog(tmp_path / "another", StoppedClock())
    await log.open()
    kept = Keeper(settings, database, log, SystemClock())
    try:
        assert await kept.keep() == 0
        make(owner, organization_id=home_of(owner), keep_days=10)
        with monkeypatch.context() as patched:
            patched.setattr(keeper, "COMMAND", (sys.executable, "-c", "raise SystemExit('no room')"))
            with pytest.raises(LogUnavailable, match="no room"):
                await kept.keep()
        assert count(owner, device) == {"temp": 40}
        assert await kept.keep() == 30
        # What goes into buckets goes once it is sealed; that there may be some is said from now on.
        meter = register_device(owner, type="meter")
        bring(owner, meter, temp=20)
        make(
            owner, organization_id=home_of(owner), device_type="meter", keep_days=10,
            then_keep={"bucket": "1h", "for_days": None},
        )  # fmt: skip
        monkeypatch.setattr(carrying, "TOLD_S", 0)
        assert await kept.keep() == 0
    finally:
        await log.close()
        await database.dispose()
    assert count(owner, device) == {"temp": 10}
    assert count(owner, meter) == {"temp": 40}
    # The hub remembers for some seconds from when on readings may be gone.
    some = f"/devices/{meter.id}/readings?from=2020-01-01T00:00:00Z&limit=1"
    await until(lambda: "x-buckets-before" in owner.get(some).headers, 20, what="A word about buckets")
    for query in ("bucket=1d", "points=100", "limit=10"):
        answer = owner.get(f"/devices/{meter.id}/readings?from=2020-01-01T00:00:00Z&{query}")
        assert (answer.status_code, len(answer.json())) == (200, 10 if query == "limit=10" else 40)
        before = datetime.fromisoformat(answer.headers["x-buckets-before"])
        assert timedelta(days=10) < datetime.now(UTC) - before < timedelta(days=11)
        for path in ("trends", "summary", "export"):
            many = owner.get(f"/analytics/{path}?device_id={meter.id}&device_id={device.id}&from=2020-01-01T00:00:00Z")
            assert (many.status_code, many.headers["x-buckets-before"]) == (200, answer.headers["x-buckets-before"])
        assert "x-buckets-before" not in owner.get(f"/devices/{device.id}/readings?{query}").headers
