"""`/metrics`: what Prometheus reads, in both of its formats, for whoever may look."""

import httpx2
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.conftest import FreshServer, register_device, register_user, sign_in_admin
from tests.roost_server import RoostServer
from tests.waiting import wait_until


def samples_of(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def test_prometheus_understands_every_line(client: httpx2.Client) -> None:
    plain = client.get("/metrics")
    assert plain.status_code == 200
    assert plain.headers["content-type"].startswith("text/plain")
    families = list(parse_text(plain.text))
    assert all(family.name.startswith("roost_") and family.documentation for family in families)
    assert len({family.name for family in families}) == len(families) > 20
    counters = [sample.name for family in families if family.type == "counter" for sample in family.samples]
    assert all(name.endswith("_total") for name in counters)

    newer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert newer.headers["content-type"].startswith("application/openmetrics-text")
    again = list(parse_openmetrics(newer.text))  # type: ignore[no-untyped-call]
    assert {family.name for family in again} == {family.name for family in families}
    # Without the prefix as well, where a scraper looks first.
    twin = httpx2.get(f"{str(client.base_url).removesuffix('/api/v1/')}/metrics", trust_env=False, verify=False)
    assert twin.status_code == 200


def test_the_figures_follow_what_happens(server: RoostServer, client: httpx2.Client) -> None:
    before = samples_of(client.get("/metrics").text)
    with register_user(server) as user:
        device = register_device(user)
        for payload, status in (({"t": 1}, 201), ({"e" * 70: 1}, 422)):
            sent = httpx2.post(
                f"{server.url}/telemetry", json=payload, headers=device.headers, trust_env=False, verify=False
            )
            assert sent.status_code == status
        refused = sent.json()["code"]

    def grown(name: str, by: float, **labels: str) -> bool:
        key = (name, tuple(sorted(labels.items())))
        return samples_of(client.get("/metrics").text)[key] >= before.get(key, 0) + by

    assert grown("roost_messages_accepted_total", 1)
    assert grown("roost_messages_refused_total", 1, code=refused)
    assert grown("roost_commits_total", 1, outcome="stored")
    assert grown("roost_commit_seconds_count", 1)
    assert grown("roost_http_requests_total", 3, status="2xx")
    assert grown("roost_http_requests_total", 1, status="4xx")
    wait_until(lambda: grown("roost_users", 1), what="The new user")


def test_closed_it_asks_for_the_whole_installation(fresh_server: FreshServer) -> None:
    server = fresh_server(ROOST_SYSTEM_PUBLIC="false")
    with httpx2.Client(base_url=server.url, trust_env=False, verify=False) as anonymous:
        refused = anonymous.get("/metrics")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
    with register_user(server) as owner:
        device = register_device(owner)
        assert owner.get("/metrics").status_code == 403
        assert owner.get("/system/version").status_code == 200
        assert owner.get("/metrics", headers={"Authorization": f"Bearer {device.token}"}).status_code == 401
    with sign_in_admin(server) as admin:
        assert admin.get("/metrics").status_code == 200
        # What a scraper uses: a token that can do this and nothing else.
        token = admin.post("/auth/api-tokens", json={"name": "prometheus", "scopes": ["ops:read"]}).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx2.get(f"{server.url}/metrics", headers=headers, trust_env=False, verify=False).status_code == 200
        assert httpx2.get(f"{server.url}/devices", headers=headers, trust_env=False, verify=False).status_code == 403
