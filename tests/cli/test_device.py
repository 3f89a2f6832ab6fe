"""`roost device reset UID` beside a running hub."""

import subprocess

import httpx2
import pytest

from tests.conftest import RegisteredDevice, UserClient, register_device, register_user
from tests.roost_server import RoostServer
from tests.waiting import wait_until


def reset(server: RoostServer, uid: str) -> "subprocess.CompletedProcess[str]":
    return server.run_command("device", "reset", uid)


def pair(client: httpx2.Client, user: UserClient, uid: str) -> int:
    client.post("/devices/hello", json={"device_uid": uid})
    code = user.post("/pairing/start", json={"device_uid": uid}).json()["pairing_code"]
    return int(client.post("/pairing/confirm", json={"device_uid": uid, "pairing_code": code}).json()["device_id"])


@pytest.fixture
def released(server: RoostServer, client: httpx2.Client, user: UserClient) -> RegisteredDevice:
    """A device that was online and then reset; the running hub has heard of it."""
    device = register_device(user)
    client.post(f"/devices/{device.id}/heartbeat", headers=device.headers)
    run = reset(server, device.uid)
    assert run.returncode == 0, run.stderr
    assert "released" in run.stdout
    whoami = wait_until(lambda: client.get("/devices/whoami", headers=device.headers).status_code == 401)
    assert whoami
    return device


def test_a_reset_device_keeps_its_history_and_says_why_it_is_offline(
    user: UserClient, released: RegisteredDevice
) -> None:
    read = user.get(f"/devices/{released.id}").json()
    assert (read["claimed_at"], read["status"]) == (None, "offline")
    assert read["status_reason"] == "It was released; pair it again to use it."
    assert user.post(f"/devices/{released.id}/heartbeat").status_code == 409
    assert user.post(f"/devices/{released.id}/token").status_code == 409


def test_its_owner_pairs_it_again_as_the_same_device(
    client: httpx2.Client, user: UserClient, released: RegisteredDevice
) -> None:
    assert pair(client, user, released.uid) == released.id


def test_for_another_organization_it_is_a_new_device(
    server: RoostServer, client: httpx2.Client, user: UserClient, released: RegisteredDevice
) -> None:
    with register_user(server) as other:
        device_id = pair(client, other, released.uid)
        assert device_id != released.id
        assert [device["id"] for device in other.get("/devices").json()] == [device_id]
        assert other.get(f"/devices/{released.id}").status_code == 404
    left = user.get(f"/devices/{released.id}").json()
    assert (left["claimed_at"], left["status_reason"]) == (None, "It was released and now belongs to somebody else.")
    assert user.get(f"/devices/{device_id}").status_code == 404


def test_what_is_not_there_or_not_claimed_is_said(server: RoostServer, client: httpx2.Client) -> None:
    run = reset(server, "nobody-knows-me")
    assert run.returncode == 1
    assert run.stderr == "There is no device 'nobody-knows-me'.\n"
    client.post("/devices/hello", json={"device_uid": "reset-me-not"})
    run = reset(server, "reset-me-not")
    assert (run.returncode, "nothing to reset" in run.stdout) == (0, True)
