"""A database that goes away and comes back: said with 503, and nothing has to be restarted."""

import httpx2

from tests.conftest import FreshServer, sign_in_admin
from tests.core.test_http import assert_problem
from tests.postgres_cluster import PostgresCluster
from tests.waiting import wait_until


def test_postgres_goes_away_and_comes_back(fresh_server: FreshServer, own_postgres: PostgresCluster) -> None:
    server = fresh_server(own_postgres.create_database(), ROOST_HOST_DEVICE="false")
    with sign_in_admin(server) as admin:
        own_postgres.stop()
        answer = admin.get("/auth/me")
        assert_problem(answer, 503, "database_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        body = {"email": "ada@example.org", "password": "Test1234!"}
        assert_problem(admin.post("/auth/register", json=body), 503)
        own_postgres.start()
        wait_until(lambda: admin.get("/auth/me").status_code == 200, timeout_s=15)
        assert admin.post("/auth/register", json=body).status_code == 201
    # Before its database, or it would rightly complain at the end.
    server.stop()


def test_a_value_that_postgres_cannot_hold_is_the_clients_mistake(client: httpx2.Client) -> None:
    answer = client.post("/auth/login", json={"identifier": "nul\x00byte", "password": "x"})
    assert answer.status_code in {401, 422}
