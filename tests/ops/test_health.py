"""Health: open to everybody, and true."""

import httpx2

from roost.core.clock import parse_time
from tests.conftest import FreshServer
from tests.postgres_cluster import PostgresCluster
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
    with httpx2.Client(base_url=server.url, timeout=30, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        own_postgres.stop()
        wait_until(lambda: client.get("/readyz").status_code == 503, timeout_s=20)
        refusal = client.get("/readyz")
        assert "database" in refusal.json()["detail"]
        assert int(refusal.headers["retry-after"]) > 0
        assert "postgres" not in refusal.text
        assert client.get("/healthz").status_code == 200
        own_postgres.start()
        wait_until(lambda: client.get("/readyz").status_code == 200, timeout_s=30)
