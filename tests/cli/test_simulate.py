"""Simulated devices against a real hub."""

import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.cli.simulated_devices import KINDS, SEQUENCE_KEY, SimulatedDevice
from tests.conftest import FreshServer, Servers, UserClient, register_device, register_user, sign_in_admin
from tests.postgres_cluster import free_port
from tests.roost_server import RoostServer
from tests.waiting import wait_until

REPORT = re.compile(
    r"(\d+) sent, (\d+) acknowledged, (\d+) refused, (\d+) without an answer, (\d+) acknowledged but not found"
)


def simulate(server: RoostServer, *options: str) -> "subprocess.CompletedProcess[str]":
    address = ["--url", server.url, "--mqtt-port", str(server.mqtt_port)]
    return server.run_command("simulate", *address, *options)


def as_user(user: UserClient) -> list[str]:
    return ["--email", user.email, "--password", user.password]


def figures(output: str) -> tuple[int, ...]:
    report = REPORT.search(output)
    assert report, output
    return tuple(int(figure) for figure in report.groups())


@pytest.fixture
def any_server(servers: Servers) -> RoostServer:
    """A running hub, where the database makes no difference."""
    return servers.get("sqlite")


@pytest.fixture
def somebody(any_server: RoostServer) -> Iterator[UserClient]:
    """Somebody new on that hub."""
    with register_user(any_server) as user:
        yield user


def test_devices_join_send_and_are_all_found_again(server: RoostServer, user: UserClient) -> None:
    for transport in ("mqtt", "http"):  # the second run takes the devices of the first
        done = simulate(
            server, "--devices", "4", "--rate", "5", "--duration", "1.5", "--transport", transport, *as_user(user)
        )
        assert done.returncode == 0, done.stdout + done.stderr
        sent, acknowledged, *rest = figures(done.stdout)
        assert sent == acknowledged >= 4
        assert rest == [0, 0, 0]
    devices = user.get("/devices", params={"tag": "simulated"}).json()
    assert len(devices) == 4
    assert {device["type"] for device in devices} == {kind.type for kind in KINDS}
    for device in devices:
        latest = {one["sensor_type"] for one in user.get(f"/devices/{device['id']}/readings/latest").json()}
        kind = next(kind for kind in KINDS if kind.type == device["type"])
        assert latest == {*kind.walks, *kind.switches, SEQUENCE_KEY}


def test_devices_that_exist_can_be_used_by_their_tokens(any_server: RoostServer, somebody: UserClient) -> None:
    device = register_device(somebody)
    done = simulate(any_server, "--token", device.token, "--rate", "10", "--duration", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    _, acknowledged, *_ = figures(done.stdout)
    recent = somebody.get(f"/devices/{device.id}/telemetry/recent", params={"limit": 500}).json()
    assert len(recent) == acknowledged


def test_a_refusal_is_shown_and_fails(fresh_server: FreshServer) -> None:
    server = fresh_server(ROOST_TELEMETRY_RATE="1")
    with sign_in_admin(server) as admin:
        for transport in ("mqtt", "http"):
            options = ["--devices", "1", "--rate", "20", "--duration", "1", "--transport", transport]
            done = simulate(server, *options, *as_user(admin))
            assert done.returncode == 1
            assert figures(done.stdout)[2] > 0
            assert "messages a minute" in done.stdout


def test_ctrl_c_ends_it_in_good_order(any_server: RoostServer, somebody: UserClient) -> None:
    command = [str(Path(sys.executable).parent / "roost"), "simulate", "--devices", "2", "--rate", "5"]
    address = ["--url", any_server.url, "--mqtt-port", str(any_server.mqtt_port)]
    with subprocess.Popen(
        [*command, *address, *as_user(somebody)], stdout=subprocess.PIPE, text=True, env=any_server.environment
    ) as running:
        wait_until(lambda: _online(somebody) == 2, timeout_s=20, what="The simulated devices")
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=20)
    assert running.returncode == 0, output
    assert figures(output)[2:] == (0, 0, 0)
    # They said DISCONNECT: nobody has to wait until their silence is noticed.
    wait_until(lambda: _online(somebody) == 0)


def test_what_cannot_work_is_said_in_a_sentence(any_server: RoostServer) -> None:
    neither = simulate(any_server)
    assert neither.returncode == 2
    assert "--email" in neither.stderr
    wrong = simulate(any_server, "--email", "nobody@example.org", "--password", "wrong", "--duration", "1")
    assert wrong.returncode == 1
    assert "401" in wrong.stderr
    absent = any_server.run_command(
        "simulate", "--url", f"http://127.0.0.1:{free_port()}", "--email", "a@example.org", "--password", "x"
    )
    assert absent.returncode == 1
    assert "does not answer" in absent.stderr
    for done in (neither, wrong, absent):
        assert "Traceback" not in done.stderr


def test_values_stay_within_what_such_a_device_can_measure() -> None:
    for number, kind in enumerate(KINDS):
        device = SimulatedDevice(number, "sim-1", 1, "", random.Random(number))
        for minute in range(0, 3 * 24 * 60, 7):
            payload = device.next_payload(minute * 60)
            assert set(payload) == {*kind.walks, *kind.switches, SEQUENCE_KEY}
            for key, walk in kind.walks.items():
                assert walk.low <= payload[key] <= walk.high
        assert device.sequence == len(range(0, 3 * 24 * 60, 7))


def _online(user: UserClient) -> int:
    return len(user.get("/devices", params={"status": "online", "tag": "simulated"}).json())
