"""What runs on devices, against a running hub."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roost_device import Device
from tests.conftest import Servers, UserClient, register_user
from tests.roost_server import RoostServer
from tests.waiting import wait_until


@pytest.fixture
def hub(servers: Servers) -> RoostServer:
    """A running hub; which database it has makes no difference to a device."""
    return servers.get("sqlite")


@pytest.fixture
def owner(hub: RoostServer) -> Iterator[UserClient]:
    """Somebody with an organization there."""
    with register_user(hub) as somebody:
        yield somebody


def pairing_code(owner: UserClient, uid: str) -> str:
    """A code for a device that has said hello."""
    answer = owner.post("/pairing/start", json={"device_uid": uid})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["pairing_code"])


def pair(device: Device, owner: UserClient) -> int:
    """Say hello, get a code, confirm it; the device's id."""
    device.say_hello()
    device.pair(pairing_code(owner, device.identity.device_uid))
    assert device.identity.device_id is not None
    return device.identity.device_id


def order(owner: UserClient, device_id: int, task_type: str, **fields: object) -> int:
    """Queue a task; its id."""
    answer = owner.post(f"/devices/{device_id}/tasks", json={"type": task_type, **fields})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def ended(owner: UserClient, task_id: int, timeout_s: float = 20) -> dict[str, Any]:
    """The task, when it has ended."""

    def look() -> dict[str, Any] | None:
        task: dict[str, Any] = owner.get(f"/tasks/{task_id}").json()
        return task if task["ended_at"] is not None else None

    return wait_until(look, timeout_s, what=f"The end of task {task_id}") or {}


def counted(owner: UserClient, device_id: int, series: str = "n") -> list[float]:
    """All values of a series, oldest first, as often as they are there."""
    values: list[float] = []
    path = f"/devices/{device_id}/readings?sensor_type={series}&limit=500"
    cursor = ""
    while True:
        answer = owner.get(path + cursor)
        assert answer.status_code == 200, answer.text
        values += [row["value"] for row in answer.json()]
        if "X-Next-Cursor" not in answer.headers:
            return values[::-1]
        cursor = f"&cursor={answer.headers['X-Next-Cursor']}"


def unique_uid(folder: Path) -> str:
    """A uid that no other test uses."""
    return f"device-{abs(hash(str(folder))):x}"
