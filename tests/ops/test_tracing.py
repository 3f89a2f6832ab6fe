"""Traces: requests, statements and commits reach a collector, and nobody waits for one that is away."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.conftest import DatabaseKind, FreshServer, register_device, register_user
from tests.ops.collector import Collector, attributes_of, running_collector
from tests.postgres_cluster import free_port
from tests.waiting import wait_until

SPAN_KIND_SERVER = 2
STATUS_ERROR = 2


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


def wait_for_span(collector: Collector, *words: str, **attributes: Any) -> Any:
    def found() -> Any:
        return next(
            (
                span
                for span in collector.named(*words)
                if attributes.items()
                <= {key.replace(".", "_"): value for key, value in attributes_of(span).items()}.items()
            ),
            None,
        )

    return wait_until(found, timeout_s=20, what=f"A span named {words}")


def test_requests_statements_and_commits_become_spans(
    fresh_server: FreshServer, collector: Collector, database_kind: DatabaseKind
) -> None:
    server = fresh_server(
        database_kind,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        OTEL_BSP_SCHEDULE_DELAY="50",
        ROOST_HOST_DEVICE="false",
    )
    trace_id, parent_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with register_user(server) as user:
        device = register_device(user)
        headers = {"traceparent": f"00-{trace_id}-{parent_id}-01"}
        assert user.get(f"/devices/{device.id}", headers=headers).status_code == 200
        sent = httpx2.post(
            f"{server.url}/telemetry", json={"t": 1}, headers=device.headers, trust_env=False, verify=False
        )
        assert sent.status_code == 201
        httpx2.get(f"{server.url}/healthz", trust_env=False, verify=False)

    request = wait_for_span(collector, "GET /api/v1/devices/{device_id}")
    seen = attributes_of(request)
    assert request.kind == SPAN_KIND_SERVER
    # Whoever called began the trace; the hub goes on with it.
    assert request.trace_id.hex() == trace_id
    assert request.parent_span_id.hex() == parent_id
    assert seen["http.response.status_code"] == 200
    assert seen["url.path"] == f"/api/v1/devices/{device.id}"
    assert seen["roost.request_id"]

    system = "sqlite" if database_kind == "sqlite" else "postgresql"
    wait_until(
        lambda: [one for one in collector.named("SELECT", system) if one.parent_span_id == request.span_id],
        what="The statements within the request",
    )
    commit = wait_for_span(collector, "telemetry commit")
    assert attributes_of(commit)["roost.messages"] == 1
    assert commit.end_time_unix_nano > commit.start_time_unix_nano
    wait_for_span(collector, "POST /api/v1/telemetry", http_response_status_code=201)
    assert collector.named("healthz") == []
    assert collector.resource["service.name"] == "roost"

    everything = str(collector.spans)
    for secret in (device.token, user.password, user.access_token, user.email):
        assert secret not in everything


def test_a_collector_that_is_away_holds_nobody_up(fresh_server: FreshServer) -> None:
    server = fresh_server(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}", OTEL_BSP_SCHEDULE_DELAY="50")
    with register_user(server) as user:
        assert user.get("/devices").status_code == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=10) == 0, server.log_text()
    server.start()


def test_without_an_endpoint_nothing_of_it_is_loaded() -> None:
    program = (
        "import sys\n"
        "from roost.app import create_app\n"
        "from roost.core.settings import Settings\n"
        "create_app(Settings(_env_file=None))\n"
        "print({'opentelemetry.sdk', 'opentelemetry.proto', 'prometheus_client'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
