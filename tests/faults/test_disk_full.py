"""A disk of 64 MiB that fills up: less important things are refused first, then telemetry, and nothing is lost.

The disk is a file system in memory, which only root may mount.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import apsw
import httpx2
import pytest

from tests.conftest import FreshServer, RegisteredDevice, UserClient, register_device, register_user, sign_in_admin
from tests.roost_server import RoostServer
from tests.waiting import wait_until

MEBIBYTE = 1024 * 1024
ROOST = Path(sys.executable).parent / "roost"


class SmallDisk:
    """The data folder of a hub, and a file that takes up room on its disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def leave(self, mib: float) -> None:
        """Have so much free, and no more."""
        wanted = free_bytes(self.folder) + self._size() - round(mib * MEBIBYTE)
        with self._ballast.open("r+b" if self._ballast.exists() else "w+b") as ballast, suppress(OSError):
            ballast.truncate(min(self._size(), max(0, wanted)))
            os.posix_fallocate(ballast.fileno(), 0, max(1, wanted))

    def fill(self) -> None:
        """To the last byte, while others write."""
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def clear(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def _size(self) -> int:
        return self._ballast.stat().st_size if self._ballast.exists() else 0


def free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


@pytest.fixture
def hub(fresh_server: FreshServer) -> Iterator[RoostServer]:
    server = fresh_server(start=False, ROOST_MIN_FREE_DISK_MIB="16", ROOST_TELEMETRY_RATE="0", ROOST_HOST_DEVICE="0")
    server.data_dir.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", server.data_dir], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a file system can be mounted by root only")
    try:
        yield server.start()
        server.stop()
    finally:
        subprocess.run(["umount", "-l", server.data_dir], check=True)


class Sender:
    """A device that counts, and remembers what was acknowledged."""

    def __init__(self, client: httpx2.Client, device: RegisteredDevice) -> None:
        self._client, self._device = client, device
        self._count = 0
        self.acknowledged: list[int] = []
        self.refused: list[dict[str, Any]] = []

    def send(self) -> int:
        self._count += 1
        body = {"n": self._count, "ballast": "x" * 200}
        answer = self._client.post("/telemetry", json=body, headers=self._device.headers)
        if answer.status_code == 201:
            self.acknowledged.append(self._count)
        else:
            self.refused.append(answer.json())
        return answer.status_code

    def log(self) -> httpx2.Response:
        return self._client.post(
            f"/devices/{self._device.id}/logs", json={"message": "Hello"}, headers=self._device.headers
        )


@pytest.fixture
def owner(hub: RoostServer) -> Iterator[UserClient]:
    with register_user(hub) as user:
        yield user


@pytest.fixture
def sender(hub: RoostServer, owner: UserClient) -> Iterator[Sender]:
    device = register_device(owner)
    with httpx2.Client(base_url=f"{hub.url}/api/v1", timeout=30, trust_env=False, verify=False) as client:
        yield Sender(client, device)


def stored(user: UserClient) -> list[int]:
    """The numbers of all messages there are, in order."""
    found: list[int] = []
    path: str | None = "/telemetry?limit=500"
    while path is not None:
        answer = user.get(path)
        assert answer.status_code == 200, answer.text
        found += [message["payload"]["n"] for message in answer.json()]
        cursor = answer.headers.get("X-Next-Cursor")
        path = f"/telemetry?limit=500&cursor={cursor}" if cursor else None
    return sorted(found)


def test_less_important_things_first_then_telemetry_and_back(
    hub: RoostServer, owner: UserClient, sender: Sender
) -> None:
    disk = SmallDisk(hub.data_dir)
    assert (sender.send(), sender.log().status_code) == (201, 201)
    disk.leave(10)
    wait_until(lambda: sender.log().status_code == 507, what="A refused log")
    assert sender.log().json()["code"] == "disk_low"
    assert sender.send() == 201
    with sign_in_admin(hub) as admin:
        assert admin.get("/ops/overview").json()["storage"]["refused"] == "less_important"
    ready = owner.get("/readyz")
    assert ready.status_code == 503
    assert "Logs of devices and imports are refused" in ready.text
    disk.leave(2)
    wait_until(lambda: sender.send() == 503, what="Refused telemetry")
    assert sender.refused[-1]["code"] == "disk_full"
    wait_until(lambda: "Telemetry is refused, too" in owner.get("/readyz").text, what="Readiness")
    disk.clear()
    wait_until(lambda: sender.send() == 201, what="Telemetry that is taken again")
    assert sender.log().status_code == 201
    assert stored(owner) == sender.acknowledged


def test_full_to_the_last_byte(hub: RoostServer, owner: UserClient, sender: Sender) -> None:
    """Quicker than the hub can look: what was acknowledged is there, nothing is there half, and it goes on."""
    disk = SmallDisk(hub.data_dir)
    for _ in range(3):
        for _ in range(20):
            sender.send()
        disk.fill()
        for _ in range(40):
            sender.send()
        disk.clear()
        wait_until(lambda: sender.send() == 201, what="Telemetry that is taken again")
    assert sender.refused
    assert {problem["status"] for problem in sender.refused} == {503}
    assert stored(owner) == sender.acknowledged
    disk.fill()
    sender.send()
    hub.kill()
    disk.clear()
    hub.start()
    assert set(sender.acknowledged) <= set(stored(owner))
    hub.stop()
    for path in [hub.data_dir / "roost.db", *(hub.data_dir / "telemetry").glob("*.db")]:
        with closing(apsw.Connection(str(path))) as connection:
            assert connection.execute("PRAGMA integrity_check").get == "ok"
    environment = {**os.environ, "ROOST_DATA_DIR": str(hub.data_dir), "DATABASE_URL": hub.database_url}
    subprocess.run([ROOST, "telemetry", "verify"], env=environment, check=True, capture_output=True, timeout=60)
    hub.start()
