"""Health: open to everybody, and true."""

from pathlib import Path

import httpx2

from roost.app import create_app
from roost.core.clock import parse_time
from roost.core.settings import Settings
from roost.ops.host import HostSampler
from roost.ops.readiness import Readiness
from roost.ops.sampling import Sampling
from roost.telemetry.condition import condition_of
from tests.conftest import DatabaseKind, FreshServer, sign_in_admin
from tests.postgres_cluster import PostgresCluster
from tests.stopped_clock import StoppedClock
from tests.waiting import wait_until


def test_health_answers_everybody(client: httpx2.Client) -> None:
    for path in ("/health", "/healthz"):
        answer = client.get(path).json()
        assert answer["ok"] is True
        assert answer["status"] == "ok"
        assert parse_time(answer["time"])


def test_readiness_looks_at_everything_that_is_needed(client: httpx2.Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.text
    ready = answer.json()
    assert ready["status"] == "ready"
    assert set(ready["checks"]) == {"database", "log", "disk", "clock"}
    assert all(check["ok"] and check["detail"].endswith(".") for check in ready["checks"].values())


def test_without_its_database_the_hub_is_alive_but_not_ready(
    own_postgres: PostgresCluster, fresh_server: FreshServer
) -> None:
    server = fresh_server(own_postgres.create_database())
    with httpx2.Client(base_url=server.url, timeout=30, trust_env=False, verify=False) as client:
        assert client.get("/readyz").status_code == 200
        own_postgres.stop()
        wait_until(lambda: client.get("/readyz").status_code == 503, timeout_s=20)
        refusal = client.get("/readyz")
        assert "database" in refusal.json()["detail"]
        assert int(refusal.headers["retry-after"]) > 0
        assert "postgres" not in refusal.text
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics").status_code == 200
        assert "roost_database_up 0.0" in client.get("/metrics").text
        own_postgres.start()
        wait_until(lambda: client.get("/readyz").status_code == 200, timeout_s=30)
    with sign_in_admin(server) as admin:
        # Figures that were gathered while it was away are kept for a second.
        wait_until(lambda: admin.get("/ops/overview").status_code == 200, timeout_s=10)
        problems = admin.get("/ops/overview").json()["failures"]
        assert any("database" in problem["message"] for problem in problems), problems


def test_too_little_room_on_the_disk(fresh_server: FreshServer) -> None:
    server = fresh_server(ROOST_MIN_FREE_DISK_MIB=str(2**40))
    with httpx2.Client(base_url=server.url, timeout=30, trust_env=False, verify=False) as client:
        refusal = client.get("/readyz")
        assert refusal.status_code == 503
        [error] = refusal.json()["errors"]
        assert error["pointer"] == "/checks/disk"
        assert f"{2**40:,}" in error["detail"]
        assert client.get("/healthz").status_code == 200


def test_a_log_that_cannot_be_written(
    fresh_server: FreshServer, database_kind: DatabaseKind, postgres: PostgresCluster
) -> None:
    server = fresh_server(database_kind, ROOST_HOST_DEVICE="false")
    with httpx2.Client(base_url=server.url, timeout=30, trust_env=False, verify=False) as client:
        # Nothing has been sent: the check tries for itself.
        assert client.get("/readyz").json()["checks"]["log"]["detail"].endswith("read and written.")
    server.stop()
    if database_kind == "sqlite":
        (server.data_dir / "telemetry" / "probe").unlink()
        (server.data_dir / "telemetry" / "probe").mkdir()
    else:
        spoil = "DROP TABLE telemetry.probe; CREATE VIEW telemetry.probe AS SELECT 1 AS id, 1 AS n"
        postgres.execute(spoil, database=server.database_url.rpartition("/")[2])
    server.start()
    with httpx2.Client(base_url=server.url, timeout=30, trust_env=False, verify=False) as client:
        refusal = client.get("/readyz")
        assert refusal.status_code == 503
        assert [error["pointer"] for error in refusal.json()["errors"]] == ["/checks/log"]


async def test_a_clock_that_was_never_set(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, mqtt_port=0, host_device=False, _env_file=None)
    app = create_app(settings, announce=lambda _: None)
    async with app.router.lifespan_context(app):
        state = app.state
        readiness = Readiness(
            state.database,
            state.installation.intake,
            state.store,
            Sampling(HostSampler(tmp_path)),
            StoppedClock(0),
            condition=condition_of(settings, state.database),
            min_free_disk_mib=0,
            disk=state.disk,
        )
        checks = await readiness.checks()
    assert [name for name, check in checks.items() if not check.ok] == ["clock"]
