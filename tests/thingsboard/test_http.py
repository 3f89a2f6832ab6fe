"""ThingsBoard's HTTP device API, where the operator has switched it on."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import FreshServer, RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer
from tests.thingsboard.conftest import library_environment


@pytest.fixture
def hub(fresh_server: FreshServer) -> RoostServer:
    """A hub with that API."""
    return fresh_server(ROOST_THINGSBOARD_HTTP="true")


@pytest.fixture
def board(hub: RoostServer) -> Iterator[httpx2.Client]:
    """A device's HTTP client."""
    with httpx2.Client(base_url=f"{hub.url}/api/v1", timeout=30, trust_env=False, verify=False) as client:
        yield client


def later(work: Any) -> threading.Thread:
    """The work begins beside what follows."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_device_with_its_token_in_the_path(hub: RoostServer, board: httpx2.Client) -> None:
    with register_user(hub) as user:
        device = register_device(user)
        _telemetry(user, board, device)
        _attributes(user, board, device)
        _calls(user, board, device)
        audit = user.get(f"/organizations/{user.get('/users/me').json()['organizations'][0]['id']}/audit").text
    assert device.token not in audit
    assert device.token not in hub.log_text()
    assert "/api/v1/{token}/rpc" in hub.log_text()


def test_thingsboard_s_own_client_over_http(hub: RoostServer, library: Path) -> None:
    with register_user(hub) as user:
        device = register_device(user)
        user.patch(f"/devices/{device.id}/shadow", json={"desired": {"rate": 5}})
        ran = subprocess.run(
            [sys.executable, "-S", str(Path(__file__).parent / "http_device.py"), hub.url, device.token],
            check=True, capture_output=True, text=True, timeout=60, env=library_environment(library),
        )  # fmt: skip
        assert json.loads(ran.stdout) == [True, {"client": {"fw": "1.0"}, "shared": {"rate": 5}}]
        latest = user.get(f"/devices/{device.id}/readings/latest").json()
        assert [(one["sensor_type"], one["value"]) for one in latest] == [("t", 21.5)]


def _telemetry(user: UserClient, board: httpx2.Client, device: RegisteredDevice) -> None:
    # An empty object is how the library finds out whether it is let in.
    for body in ({}, {"t": 21.5, "state": "IDLE"}, [{"ts": 1_790_000_000_000, "values": {"old": "7"}}]):
        answer = board.post(f"/{device.token}/telemetry", json=body)
        assert (answer.status_code, answer.content) == (200, b""), answer.text
    latest = user.get(f"/devices/{device.id}/readings/latest").json()
    assert {one["sensor_type"]: one["value"] for one in latest} == {"t": 21.5, "old": 7}
    refused = board.post(f"/{device.token}/telemetry", content=b"{")
    assert refused.status_code == 400
    assert refused.json()["instance"] == "/api/v1/{token}/telemetry"
    unknown = board.post(f"/rdt_{'x' * 43}/telemetry", json={"t": 1})
    assert unknown.status_code == 401
    assert "rdt_" not in unknown.json()["instance"]


def _attributes(user: UserClient, board: httpx2.Client, device: RegisteredDevice) -> None:
    user.patch(f"/devices/{device.id}/shadow", json={"desired": {"rate": 5, "led": True}})
    assert board.post(f"/{device.token}/attributes", json={"fw": "1.0"}).status_code == 200
    found = board.get(f"/{device.token}/attributes", params={"clientKeys": "fw,no", "sharedKeys": "rate"})
    assert found.json() == {"client": {"fw": "1.0"}, "shared": {"rate": 5}}
    assert board.get(f"/{device.token}/attributes").json()["shared"] == {"rate": 5, "led": True}
    assert board.get(f"/{device.token}/attributes/updates", params={"timeout": "1"}).status_code == 408
    heard: list[Any] = []
    path = f"/{device.token}/attributes/updates"
    waiting = later(lambda: heard.append(board.get(path, params={"timeout": "20000"}).json()))
    rate = 5
    while waiting.is_alive():
        # Nobody outside knows when the device has begun to wait.
        rate += 1
        user.patch(f"/devices/{device.id}/shadow", json={"desired": {"rate": rate}})
        waiting.join(0.05)
    assert heard[0]["rate"] > 5
    assert board.post(f"/{device.token}/attributes", json=[1]).status_code == 422


def _calls(user: UserClient, board: httpx2.Client, device: RegisteredDevice) -> None:
    assert board.get(f"/{device.token}/rpc", params={"timeout": "1"}).status_code == 408
    made = user.post(f"/devices/{device.id}/tasks", json={"type": "setGpio", "payload": {"pin": 4}}).json()
    call = board.get(f"/{device.token}/rpc").json()
    assert call == {"id": made["id"], "method": "setGpio", "params": {"pin": 4}}
    assert board.post(f"/{device.token}/rpc/{made['id']}", content=b"okay").status_code == 200
    ended = user.get(f"/tasks/{made['id']}").json()
    assert (ended["status"], ended["result"]) == ("done", "okay")
    limits = board.post(f"/{device.token}/rpc", json={"method": "getSessionLimits", "params": {}}).json()
    assert limits["maxPayloadSize"] == 16384


def test_it_is_off_unless_it_is_wanted(server: RoostServer, client: httpx2.Client, device: RegisteredDevice) -> None:
    start = server.log_size()
    assert client.post(f"/{device.token}/telemetry", json={"t": 1}).status_code == 404
    assert device.token not in server.log_text(start)
