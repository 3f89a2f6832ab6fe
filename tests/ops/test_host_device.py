"""This machine as a device: there from the first start, sampled through the usual way in, gone when it is deleted."""

from typing import Any

from roost.ops.machine import host_name, host_uid
from tests.conftest import DatabaseKind, FreshServer, UserClient, sign_in_admin
from tests.postgres_cluster import PostgresCluster
from tests.roost_server import RoostServer
from tests.waiting import wait_until

QUICK = {"ROOST_HOST_SAMPLE_INTERVAL_S": "0.2"}
UNITS = {
    "cpu_percent": "%",
    "load_1m": None,
    "memory_percent": "%",
    "memory_used_mb": "MiB",
    "disk_percent": "%",
    "disk_free_gb": "GB",
    "uptime_h": "h",
    "roost_rss_mb": "MiB",
}


def host_of(admin: UserClient, server: RoostServer) -> dict[str, Any] | None:
    found = admin.get("/devices", params={"q": host_uid(server.data_dir)}).json()
    assert len(found) <= 1
    return found[0] if found else None


def wait_for_host(admin: UserClient, server: RoostServer) -> dict[str, Any]:
    host = wait_until(lambda: host_of(admin, server), what="The host's own device")
    assert host is not None
    return host


def samples(admin: UserClient, device_id: int) -> int:
    answer = admin.get(f"/devices/{device_id}/readings", params={"sensor_type": "uptime_h", "limit": 500})
    assert answer.status_code == 200, answer.text
    return len(answer.json())


def wait_for_more(admin: UserClient, device_id: int, *, timeout_s: float = 10) -> None:
    before = samples(admin, device_id)
    wait_until(lambda: samples(admin, device_id) > before, timeout_s, what="Another sample of the host")


def test_the_machine_is_a_device_like_any_other_until_it_is_deleted(
    fresh_server: FreshServer, database_kind: DatabaseKind
) -> None:
    server = fresh_server(database_kind, **QUICK)
    with sign_in_admin(server) as admin:
        host = wait_for_host(admin, server)
        assert host["name"] == host_name()
        assert host["type"] == "hub"
        me = admin.get("/auth/me").json()
        assert host["organization_id"] == me["organizations"][0]["id"]
        assert host["home_id"] == me["homes"][0]["id"]
        wait_for_more(admin, host["id"])
        assert admin.get(f"/devices/{host['id']}/status").json()["status"] == "online"
        latest = admin.get(f"/devices/{host['id']}/readings/latest").json()
        units = {reading["sensor_type"]: reading["unit"] for reading in latest}
        # A temperature is there only where the machine has a sensor.
        assert {name: unit for name, unit in units.items() if name != "temperature_c"} == UNITS

        assert admin.delete(f"/devices/{host['id']}").status_code == 204
        said = "has been deleted; it sends nothing"
        wait_until(lambda: said in server.log_text(), what="The host to notice")
        start = server.log_size()
        server.stop()
        server.start()
        wait_until(lambda: said in server.log_text(start), what="The host to notice after a restart")
        assert host_of(admin, server) is None
        # Whoever wants it back registers it like any device.
        again = admin.post("/devices", json={"name": "my hub", "device_uid": host["device_uid"]})
        assert again.status_code == 201, again.text
        wait_for_more(admin, again.json()["id"])


def test_a_restart_finds_the_device_of_before(fresh_server: FreshServer) -> None:
    server = fresh_server(**QUICK)
    with sign_in_admin(server) as admin:
        host = wait_for_host(admin, server)
        server.stop()
        server.start()
        assert wait_for_host(admin, server)["id"] == host["id"]
        wait_for_more(admin, host["id"])


def test_it_can_be_left_out(fresh_server: FreshServer) -> None:
    server = fresh_server(ROOST_HOST_DEVICE="false", **QUICK)
    with sign_in_admin(server) as admin:
        assert admin.get("/devices").json() == []


def test_it_goes_on_when_the_database_is_back(own_postgres: PostgresCluster, fresh_server: FreshServer) -> None:
    server = fresh_server(own_postgres.create_database(), **QUICK)
    with sign_in_admin(server) as admin:
        host = wait_for_host(admin, server)
        wait_for_more(admin, host["id"])
        own_postgres.stop()
        complaint = "This machine's readings are not being stored"
        wait_until(lambda: complaint in server.log_text(), timeout_s=20, what="The complaint")
        own_postgres.start()
        wait_until(lambda: "are being stored again" in server.log_text(), timeout_s=30, what="The relief")
        assert server.log_text().count(complaint) == 1
        wait_for_more(admin, host["id"], timeout_s=20)
